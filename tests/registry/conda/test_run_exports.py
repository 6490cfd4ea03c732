import io
import json
from typing import Any

import pytest

from registry.conda.errors import InvalidMetadataError
from registry.conda.run_exports import (
    normalize_run_exports,
    run_exports_fragment,
    write_run_exports,
)


@pytest.mark.parametrize(
    ("raw", "normalized"),
    [
        (None, {}),
        ({}, {}),
        ([], {"weak": []}),
        (["libxz >=5.6"], {"weak": ["libxz >=5.6"]}),
        ("libxz >=5.6", {"weak": ["libxz >=5.6"]}),
        ({"strong": "libgcc"}, {"strong": ["libgcc"]}),
        ({"weak": ["a"], "noarch": ["b"]}, {"noarch": ["b"], "weak": ["a"]}),
        ({"weak": None}, {}),
        ({"weak_constrains": ["a <2"], "surprise": ["x"]}, {"weak_constrains": ["a <2"]}),
    ],
)
def test_every_form_found_in_packages_is_brought_into_one(raw: Any, normalized: Any) -> None:
    assert normalize_run_exports(raw) == normalized


@pytest.mark.parametrize("raw", [7, {"weak": {"a": "b"}}, {"weak": [1]}, [["a"]]])
def test_what_holds_no_specs_is_refused(raw: Any) -> None:
    with pytest.raises(InvalidMetadataError, match="list of specs"):
        normalize_run_exports(raw)


@pytest.mark.parametrize(
    ("subdir", "platform", "arch"),
    [
        ("linux-64", "linux", "x86_64"),
        ("win-32", "win", "x86"),
        ("osx-arm64", "osx", "arm64"),
        ("noarch", None, None),
    ],
)
def test_the_file_lists_every_package(subdir: str, platform: Any, arch: Any) -> None:
    out = io.BytesIO()

    size_bytes = write_run_exports(
        out,
        subdir=subdir,
        packages=[run_exports_fragment("a-1-0.tar.bz2", None)],
        conda_packages=[run_exports_fragment("b-1-0.conda", ["b >=1"])],
    )

    assert json.loads(out.getvalue()) == {
        "info": {"arch": arch, "platform": platform, "subdir": subdir, "version": 1},
        "packages": {"a-1-0.tar.bz2": {"run_exports": {}}},
        "packages.conda": {"b-1-0.conda": {"run_exports": {"weak": ["b >=1"]}}},
    }
    assert size_bytes == len(out.getvalue())
