"""Text to plain values: what YAML and JSON files may hold, and which line is blamed."""

from typing import Any

import pytest

from moltnet.config import limits
from moltnet.config.documents import parse_document
from moltnet.config.walks import BoolWord


def problems(text: str | bytes, *, is_json: bool = False) -> list[tuple[str, str, int | None]]:
    data = text.encode() if isinstance(text, str) else text
    return [(p.path, p.message, p.line) for p in parse_document(data, is_json=is_json).problems]


def value(text: str) -> Any:
    document = parse_document(text.encode(), is_json=False)
    assert document.problems == ()
    return document.root


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5", 5),
        ("-5", -5),
        ("0x1f", 31),
        ("0o17", 15),
        ("1.5", 1.5),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ('"5"', "5"),
        ("!!str 5", "5"),
        ("2026-01-02", "2026-01-02"),
        ("12:30", "12:30"),
        (":8787", ":8787"),
        ("1234567890123456789012345678901234567890", "1234567890123456789012345678901234567890"),
        ("12e34", "12e34"),
        ("00ff", "00ff"),
        ("[a, {b: c}]", ["a", {"b": "c"}]),
    ],
)
def test_yaml_scalars_are_read_as_yaml_1_2_and_digits_of_tokens_stay_text(text: str, expected: object) -> None:
    read = value(f"key: {text}")["key"]
    assert (type(read), read) == (type(expected), expected)


@pytest.mark.parametrize(("word", "truth"), [("yes", True), ("On", True), ("y", True), ("no", False), ("OFF", False)])
def test_a_yaml_1_1_boolean_is_a_word_that_knows_its_truth(word: str, truth: bool) -> None:
    read = value(f"key: {word}")["key"]
    assert isinstance(read, BoolWord)
    assert (str(read), read.truth) == (word, truth)


def test_keys_are_text_even_if_they_look_like_something_else() -> None:
    assert value("5: a\non: b\nnull: c") == {"5": "a", "on": "b", "null": "c"}


def test_anchors_and_merges_are_read() -> None:
    assert value("a: &x {k: 1, l: 2}\nb:\n  <<: *x\n  l: 3\nc: {<<: [*x, {m: 4}]}") == {
        "a": {"k": 1, "l": 2},
        "b": {"k": 1, "l": 3},
        "c": {"k": 1, "l": 2, "m": 4},
    }


@pytest.mark.parametrize(
    ("text", "path", "message", "line"),
    [
        ("", "$", "is empty", None),
        ("\n# only a remark\n", "$", "is empty", None),
        ("a: 1\n---\nb: 2\n", "$", "must hold one document, a second one starts here", 2),
        ("a: 1\nb:\n  c: 1\n  c: 2\n", "$.b.c", "is given twice", 4),
        ("a:\n  - x: 1\n    x: 2\n", "$.a[0].x", "is given twice", 3),
        ("a: !!binary aGVsbG8=\n", "$.a", "has a type tag that is not allowed here", 1),
        ("a: !!int x\n", "$.a", "has a type tag that is not allowed here", 1),
        ("a: 1\n? [b]\n: c\n", "$", "has a key that is not text", 2),
        ("a: {<<: text}\n", "$.a", "merges something without keys", 1),
        ("a: 1\nb: \x01\n", "$", "holds a character that YAML does not allow", 2),
    ],
)
def test_what_yaml_must_not_hold_is_named_with_its_line(text: str, path: str, message: str, line: int | None) -> None:
    assert problems(text) == [(path, message, line)]


@pytest.mark.parametrize(
    ("text", "advice", "line"),
    [
        ("a:\n  b: 1\n c: 2\n", "wrong indentation here or in the line above", 3),
        ("a:\n  - b: 1\n   c: 2\n", "wrong indentation here or in the line above", 3),
        ("a:\n  - b: 1\n     c: 2\n", "wrong indentation here or in the line above", 3),
        ("  a: 1\nb: 2\n", "wrong indentation here or in the line above", 2),
        ("a:\n\tb: 1\n", "a tab cannot indent YAML, use spaces", 2),
        ("a:\tb\n", "a tab cannot stand here, use spaces", 1),
        ("x: 1\na: [@alpha]\n", '"@" must be quoted', 2),
        ("a: `x`\n", '"`" must be quoted', 1),
        ("x: 1\na: b: c\n", 'put the value in quotes, it holds ": "', 2),
        ("a: 'b' c\n", "expected <block end>, but found '<scalar>'", 1),
        ("a: [b\nc: 2\n", "expected ',' or ']', but got ':'", 2),
    ],
)
def test_frequent_mistakes_in_yaml_are_answered_with_what_to_do(text: str, advice: str, line: int) -> None:
    assert problems(text) == [("$", f"is not valid YAML: {advice}", line)]


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        ("", "is empty", None),
        ('{"a": 1}\n{"b": 2}', "must hold one document, something follows it", 2),
        ('{\n"a": }', "is not valid JSON: Expecting value", 2),
        ('{"a": NaN}', "is not valid JSON: a number is not finite or has too many digits", None),
        ('{"a": ' + "9" * 5000 + "}", "is not valid JSON: a number is not finite or has too many digits", None),
    ],
)
def test_what_json_must_not_hold_is_named(text: str, message: str, line: int | None) -> None:
    assert problems(text, is_json=True) == [("$", message, line)]


def test_a_repeated_json_key_is_named_with_its_path() -> None:
    assert problems('{"a": [{"b": 1, "b": 2}]}', is_json=True) == [("$.a[0].b", "is given twice", None)]


@pytest.mark.parametrize("is_json", [False, True])
def test_text_that_is_not_utf_8_is_refused_with_its_line(is_json: bool) -> None:
    assert problems(b'{"a": 1,\n"b": "\xff"}', is_json=is_json) == [("$", "is not UTF-8 text", 2)]


@pytest.mark.parametrize(
    "text",
    ["key: *s3cr3t-value-after-a-star", "key: !s3cr3t x", "key: [s3cr3t", "key: 's3cr3t", "s3cr3t\nkey: 1", "\ts3cr3t"],
)
def test_a_syntax_error_does_not_quote_the_text_around_it(text: str) -> None:
    (problem,) = problems(text)
    assert "s3cr3t" not in problem[1]


def test_aliases_that_stand_for_too_many_values_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moltnet.config.walks.MAX_CONFIG_VALUES", 1000)
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    for level in range(1, 9):
        bomb += f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n"
    assert problems(bomb) == [("$", "holds more than 1000 values", None)]


@pytest.mark.parametrize(
    ("text", "is_json"),
    [
        ("[" * 40 + "]" * 40, False),
        ("[" * 40 + "]" * 40, True),
        ("[" * 100_000, False),
        ("[" * 100_000, True),
        ("a: &a [*a]", False),
        ("a: &a {<<: *a}", False),
    ],
)
def test_nesting_without_end_is_refused(text: str, is_json: bool) -> None:
    assert problems(text, is_json=is_json) == [("$", f"is nested deeper than {limits.MAX_CONFIG_DEPTH} levels", None)]
