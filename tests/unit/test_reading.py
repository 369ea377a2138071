"""Text to data, strictly."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from labpool.errors import SpecError
from labpool.reading import DEEPEST, Language, read_spec


@pytest.mark.parametrize("language", ["json", "yaml"])
def test_it_works(language: Language) -> None:
    assert read_spec('{"kind": "train", "learning_rate": 1e-3}', language) == {
        "kind": "train",
        "learning_rate": 0.001,
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E5", 100000.0),
        ("1.e-2", 0.01),
        (".5", 0.5),
        ("-3", -3),
        ("010", 10),
        ("true", True),
        ("null", None),
        ("~", None),
        ("no", "no"),
        ("on", "on"),
        ("2026-11-23", "2026-11-23"),
        ("1:30", "1:30"),
        ("0x10", "0x10"),
        ("'1e-3'", "1e-3"),
        ("1_000", "1_000"),
    ],
)
def test_yaml_scalars(text: str, value: object) -> None:
    read = read_spec(f"x: {text}", "yaml")["x"]
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("text", "language", "pointer", "words"),
    [
        ('{"a": 1, "a": 2}', "json", "/a", "twice"),
        ("a: 1\na: 2", "yaml", "/a", "twice"),
        ('{"a": ', "json", "", "line 1, column"),
        ("a: [1", "yaml", "", "line 1, column"),
        ("a: &x 1\nb: *x", "yaml", "", "anchors and aliases"),
        ("a: !!python/object/apply:os.system [ls]", "yaml", "", "constructor"),
        ("a: !thing 1", "yaml", "", "constructor"),
        ("1: 2", "yaml", "", "not text"),
        ('{"a": "x\\u0000"}', "json", "/a", "cannot be stored"),
        ('{"a": {"b": "\\ud800"}}', "json", "/a/b", "cannot be stored"),
        (b"\xff\xfe", "json", "", "UTF-8"),
        ("[" * 100_000, "json", "", "nested too deeply"),
        ("[" * 10_000, "yaml", "", "nested too deeply"),
        ('{"a": ' + "[" * 40 + "]" * 40 + "}", "json", "/a", "nested too deeply"),
        ('{"a": ' + "9" * 5000 + "}", "json", "", "too many digits"),
    ],
)
def test_what_is_refused(text: str | bytes, language: Language, pointer: str, words: str) -> None:
    with pytest.raises(SpecError, match=words) as caught:
        read_spec(text, language)
    assert caught.value.problems[0].pointer == pointer


def test_as_deep_as_is_read() -> None:
    text = '{"a": ' + "[" * (DEEPEST - 1) + "]" * (DEEPEST - 1) + "}"
    assert "a" in read_spec(text, "json")


@given(st.binary(max_size=200), st.sampled_from(["json", "yaml"]))
def test_whatever_comes_it_reads_or_refuses(text: bytes, language: Language) -> None:
    with suppress(SpecError):
        read_spec(text, language)
