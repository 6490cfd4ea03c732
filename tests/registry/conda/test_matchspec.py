"""Specs as records of v3 have them, held against what clients make of both forms."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rattler import MatchSpec

from registry.conda.matchspec import InvalidSpecError, needs_v3, v3_spec


@pytest.mark.parametrize(
    ("spec", "written"),
    [
        ("python", "python"),
        ("__unix", "__unix"),
        ("PyYAML", "pyyaml"),
        ("libhello >=1", 'libhello[version=">=1"]'),
        ("libhello>=1", 'libhello[version=">=1"]'),
        ("foo 1.0", 'foo[version="==1.0"]'),
        ("foo ==1.0", 'foo[version="==1.0"]'),
        ("foo=1.0", 'foo[version="1.0.*"]'),
        ("foo =1.0", 'foo[version="1.0.*"]'),
        ("foo 1.0.*", 'foo[version="1.0.*"]'),
        ("foo 1.0*", 'foo[version="1.0*"]'),
        ("foo *", 'foo[version="*"]'),
        ("foo * openblas_0", 'foo[version="*",build="openblas_0"]'),
        ("foo=1.0=py_0", 'foo[version="==1.0",build="py_0"]'),
        ("foo==1.0=py_0", 'foo[version="==1.0",build="py_0"]'),
        ("foo=1.0.*=py*", 'foo[version="1.0.*",build="py*"]'),
        ("foo 3.8.* *_cpython", 'foo[version="3.8.*",build="*_cpython"]'),
        ("foo >= 1.8 , < 2 | 2.1 py27_0", 'foo[version=">=1.8,<2|2.1",build="py27_0"]'),
        ("foo =1,2", 'foo[version="=1,2"]'),
        ("foo 1,(2|3)", 'foo[version="1,(2|3)"]'),
        ("foo 1!2.0+3", 'foo[version="==1!2.0+3"]'),
        ("foo >=2.0 ^py.*$", 'foo[version=">=2.0",build="^py.*$"]'),
        ("foo[version='>=1,<2']", 'foo[version=">=1,<2"]'),
        ("foo [ version = '1.8' , build_number=0]", 'foo[version="1.8",build_number=0]'),
        ("foo[build_number='>=1']", 'foo[build_number=">=1"]'),
        ("foo[]", "foo"),
        ("foo[extras=test]", "foo[extras=[test]]"),
        ('foo[extras=["a", b]]', "foo[extras=[a,b]]"),
        ("foo[flags=[cuda, 'blas:*']]", 'foo[flags=[cuda,"blas:*"]]'),
        ("foo >=1[when=__unix]", 'foo[version=">=1",when="__unix"]'),
        (
            "foo[when='python >=3 and (a or b=2)']",
            "foo[when=\"python>=3 and (a or b[version='2.*'])\"]",
        ),
        (
            'foo[when="bar[version=\\">=1,<2\\",flags=[x]]"]',
            "foo[when=\"bar[version='>=1,<2',flags=[x]]\"]",
        ),
    ],
)
def test_a_spec_is_a_name_or_a_name_with_brackets(spec: str, written: str) -> None:
    assert v3_spec(spec) == written
    assert v3_spec(written) == written
    assert canonical(written) == canonical(spec)


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ("conda-forge::foo >=1", "names a channel"),
        ("conda-forge/linux-64::foo", "names a channel"),
        ("foo[channel=bar]", "sets channel"),
        ("foo[name=bar]", "sets name"),
        ("foo[md5=00]", "sets md5"),
        ("foo[colour=blue]", "no client knows"),
        ("*", "begins with no package name"),
        ("py*", "in the package name"),
        # conda and rattler read these as exact, CEP 29 as fuzzy.
        ("foo =1.8 py_0", "differently by clients"),
        ("foo ==1.8.* py_0", "differently by clients"),
        ("foo >=1,==2.*", "differently by clients"),
        ("foo >=1[version='<2']", "names the version twice"),
        ("foo[build=a,build=b]", "names the build twice"),
        ("foo 1.0 py_0 x", "has the build"),
        ("foo 1.0=", "has the version"),
        ("foo >=1,", "has the version"),
        ("foo (>=1", "has the version"),
        ("foo 1..2", "has the version"),
        ("foo 1.*.2", "has the version"),
        ("foo ^1.*$", "has the version"),
        ("foo @gpu", "has the version"),
        ("foo >=1 # why", "has the build"),
        ("foo[", "can't be read"),
        ("foo[version='1]", "can't be read"),
        ("foo[version]", "can't be read"),
        ("foo[version=1 build=a]", "can't be read"),
        ("foo[version=1,]", "can't be read"),
        ("foo[build='a\\d']", "can't be read"),
        ("foo[version=1]x", "behind its brackets"),
        ("foo[version=1][build=a]", "behind its brackets"),
        ("foo[when='']", "to nothing"),
        ("foo[extras=[A]]", "has the extras"),
        ("foo[flags=[a:b:c]]", "has the flags"),
        ("foo[build_number=one]", "has the build_number"),
        ("foo[when='not a']", "has the condition"),
        ("foo[when='a and']", "has the condition"),
        ("foo[when='(a']", "has the condition"),
        ("foo[when='a[when=b]']", "a condition within a condition"),
        ("foo " + ",".join(["1"] * 150), "too long a version"),
        ("foo[when='" + "(" * 20 + "a" + ")" * 20 + "']", "has the condition"),
    ],
)
def test_what_has_no_such_form_is_refused_with_a_sentence(spec: str, reason: str) -> None:
    with pytest.raises(InvalidSpecError, match=reason) as refused:
        v3_spec(spec)
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    ("spec", "needs"),
    [
        ("foo >=1", False),
        ("foo[version='>=1', build=a]", False),
        ("foo when=1", False),
        ("foo[when='a']", True),
        ("foo[version=1, extras=[a]]", True),
        ("foo[ flags = cuda]", True),
    ],
)
def test_conditions_extras_and_flags_are_for_newer_clients(spec: str, needs: bool) -> None:
    assert needs_v3(spec) is needs


def canonical(spec: str) -> str:
    """What rattler takes a spec for; two with one meaning give the same text.

    Parentheses around a single spec mean nothing, and it leaves them out.
    """
    return MatchSpec(spec).to_canonical_string()


_names = st.sampled_from(["foo", "Foo", "foo-bar", "foo_b.c", "__cuda", "a"])
_literals = st.from_regex(
    r"([0-9]!)?[0-9]{1,3}(\.[0-9a-z]{1,3}){0,3}_?(\+[0-9]{1,2})?", fullmatch=True
)
_stars = st.sampled_from(["", "", ".*", "*"])
_signs = st.sampled_from(["", "=", "==", "!=", ">=", "<=", ">", "<", "~="])
_clauses = st.builds("{}{}{}".format, _signs, _literals, _stars) | st.just("*")
_spaces = st.sampled_from(["", "", " ", "  "])


@st.composite
def versions(draw: st.DrawFn) -> str:
    text = draw(_clauses)
    for _ in range(draw(st.integers(0, 2))):
        join = draw(st.sampled_from([",", "|"]))
        text += draw(_spaces) + join + draw(_spaces) + draw(_clauses)
    return text


_builds = st.from_regex(r"\*?[a-z0-9][a-z0-9_]{0,5}\*?", fullmatch=True)


@st.composite
def positional_specs(draw: st.DrawFn) -> str:
    text = draw(_names)
    if draw(st.booleans()):
        text += draw(st.sampled_from([" ", "", "  "])) + draw(versions())
        if draw(st.booleans()):
            text += draw(st.sampled_from([" ", "="])) + draw(_builds)
    return text


@st.composite
def bracket_specs(draw: st.DrawFn) -> str:
    mark = draw(st.sampled_from("\"'"))
    fields = {
        "version": f"{mark}{draw(versions())}{mark}",
        "build": draw(_builds),
        "build_number": draw(st.sampled_from(["0", "'>=1'", "12"])),
        "extras": draw(st.sampled_from(["[a,b]", "a", "['x.y', z+]"])),
        "flags": draw(st.sampled_from(["[cuda]", "'a:b'", '["blas:*", x]'])),
        "when": f"{mark}{draw(conditions())}{mark}",
    }
    keys = draw(st.lists(st.sampled_from(list(fields)), unique=True))
    space = draw(_spaces)
    return f"{draw(_names)}{space}[{f',{space}'.join(f'{key}={fields[key]}' for key in keys)}]"


@st.composite
def conditions(draw: st.DrawFn) -> str:
    text = draw(positional_specs())
    for _ in range(draw(st.integers(0, 3))):
        right = draw(positional_specs())
        if draw(st.booleans()):
            right = f"({right} {draw(st.sampled_from(['and', 'or']))} {draw(positional_specs())})"
        text += f" {draw(st.sampled_from(['and', 'or']))} {right}"
    return text


@given(positional_specs() | bracket_specs())
def test_no_spec_changes_its_meaning(spec: str) -> None:
    try:
        written = v3_spec(spec)
    except InvalidSpecError:
        return
    assert v3_spec(written) == written
    assert canonical(written) == canonical(spec)


@given(st.text("ab[]()='\",|<>*.1 \\", max_size=30))
def test_whatever_is_sent_is_taken_or_refused(text: str) -> None:
    try:
        written = v3_spec(text)
    except InvalidSpecError:
        return
    assert v3_spec(written) == written


@pytest.mark.parametrize(
    "spec",
    [
        "x" + " " * 2000 + ",",
        "x" + "[" * 2000,
        "x " + "1," * 1000,
        "x " + "(" * 2000,
        "x[when='" + "a[" * 1000 + "']",
        "x[when='" + "(" * 2000 + "']",
        "x[when='" + "a and " * 330 + "b']",
        "x[" + " " * 2000,
    ],
)
def test_nobody_keeps_us_busy_with_a_spec(spec: str) -> None:
    def seconds() -> float:
        begun = time.process_time()
        with pytest.raises(InvalidSpecError):
            v3_spec(spec)
        return time.process_time() - begun

    # Garbage of other tests may be collected meanwhile, but not each time.
    assert any(seconds() < 0.1 for _ in range(4))
