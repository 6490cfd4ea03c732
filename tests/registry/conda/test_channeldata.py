import io
import json
from typing import Any

import pytest

from registry.conda.channeldata import InstallTraits, channeldata_entry, write_channeldata


def entry(**changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "name": "xz",
        "version": "5.6.3",
        "subdirs": ["osx-64", "linux-64"],
        "about": {},
        "timestamp_ms": 1_700_000_000_999,
        "run_exports": {},
    }
    document = json.loads(b"{" + channeldata_entry(**(values | changes)) + b"}")
    return document["xz"]  # type: ignore[no-any-return]  # JSON


def test_an_entry_has_every_required_key() -> None:
    assert entry() == {
        "activate.d": False,
        "binary_prefix": False,
        "deactivate.d": False,
        "post_link": False,
        "pre_link": False,
        "pre_unlink": False,
        "run_exports": {},
        "subdirs": ["linux-64", "osx-64"],
        "text_prefix": False,
        "timestamp": 1_700_000_000,
        "version": "5.6.3",
    }


def test_a_package_without_timestamp_counts_as_old() -> None:
    assert entry(timestamp_ms=None)["timestamp"] == 0


@pytest.mark.parametrize(
    ("timestamp", "seconds"),
    [(1_700_000_000_999, 1_700_000_000), (1_500_000_000, 1_500_000_000), (0, 0)],
)
def test_the_timestamp_is_in_seconds_whatever_records_count(timestamp: int, seconds: int) -> None:
    assert entry(timestamp_ms=timestamp)["timestamp"] == seconds


@pytest.mark.parametrize(
    ("about", "field", "value"),
    [
        ({"home": "https://example.org"}, "home", "https://example.org"),
        ({"dev_url": ["https://a.example", "https://b.example"]}, "dev_url", "https://a.example"),
        ({"source_url": ["https://a.example"]}, "source_url", "https://a.example"),
        ({"source_url": ["u1", "u2"]}, "source_url", ["u1", "u2"]),
        ({"license": "MIT", "summary": None}, "license", "MIT"),
        ({"license": ["MIT", "BSD-3-Clause"]}, "license", "MIT, BSD-3-Clause"),
    ],
)
def test_what_the_package_says_of_itself_is_taken_over(
    about: dict[str, object], field: str, value: Any
) -> None:
    assert entry(about=about)[field] == value


@pytest.mark.parametrize("nothing", [None, "", [], {"a": 1}, 7])
def test_what_is_no_text_is_left_out(nothing: Any) -> None:
    assert "summary" not in entry(about={"summary": nothing})


def test_run_exports_stand_by_version() -> None:
    exports = {"5.6.3": ["xz >=5.6"], "5.4.0": {}, "5.2.0": {"strong": ["xz 5.2.*"]}}

    assert entry(run_exports=exports)["run_exports"] == {
        "5.6.3": {"weak": ["xz >=5.6"]},
        "5.2.0": {"strong": ["xz 5.2.*"]},
    }


@pytest.mark.parametrize(
    ("path", "traits"),
    [
        ({"_path": "lib/libxz.so"}, InstallTraits()),
        ({"_path": "etc/conda/activate.d/xz.sh"}, InstallTraits(activate=True)),
        ({"_path": "etc/conda/deactivate.d/xz.sh"}, InstallTraits(deactivate=True)),
        ({"_path": "bin/.xz-post-link.sh"}, InstallTraits(post_link=True)),
        ({"_path": "bin/.xz-pre-link.sh"}, InstallTraits(pre_link=True)),
        ({"_path": "Scripts/.xz-pre-unlink.bat"}, InstallTraits(pre_unlink=True)),
        ({"_path": "share/.xz-post-link.sh"}, InstallTraits()),
        (
            {"_path": "bin/xz", "prefix_placeholder": "/opt", "file_mode": "binary"},
            InstallTraits(binary_prefix=True),
        ),
        (
            {"_path": "bin/xz", "prefix_placeholder": "/opt", "file_mode": "text"},
            InstallTraits(text_prefix=True),
        ),
    ],
)
def test_traits_are_read_off_the_list_of_files(
    path: dict[str, object], traits: InstallTraits
) -> None:
    assert InstallTraits.from_paths([path]) == traits


def test_traits_stand_in_the_entry() -> None:
    found = entry(traits=InstallTraits(activate=True, text_prefix=True))

    assert {key for key, value in found.items() if value is True} == {"activate.d", "text_prefix"}


def test_the_file_holds_names_and_subdirs() -> None:
    out = io.BytesIO()
    fragments = [b'"a":{"version":"1"}', b'"b":{"version":"2"}']

    size_bytes = write_channeldata(out, packages=fragments, subdirs=["noarch", "linux-64"])

    assert out.getvalue() == (
        b'{"channeldata_version":1,"packages":{"a":{"version":"1"},"b":{"version":"2"}},'
        b'"subdirs":["linux-64","noarch"]}'
    )
    assert size_bytes == len(out.getvalue())


def test_what_one_file_does_not_say_is_left_out_and_what_is_required_never() -> None:
    """CEP 38, key by key."""
    found = entry(about={"home": "https://example.org", "description": "long", "tags": ["x"]})
    flags = {"activate.d", "binary_prefix", "deactivate.d", "post_link", "pre_link", "pre_unlink",
             "text_prefix"}  # fmt: skip

    assert found.keys() == flags | {"home", "run_exports", "subdirs", "timestamp", "version"}
    assert {type(found[flag]) for flag in flags} == {bool}
    assert type(found["timestamp"]) is int
