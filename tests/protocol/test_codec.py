"""What the codec takes, what it refuses, and that it says where."""

import json
from enum import StrEnum
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moltnet.protocol.codec import DecodeError, Problem, decode, encode, make_converter, parse_json, structure, wire
from moltnet.protocol.limits import MAX_BODY_BYTES, MAX_JSON_DEPTH, MAX_REPORTED_PROBLEMS
from moltnet.protocol.messages import Message, Part, SendMessageRequest
from moltnet.protocol.rooms import CreateRoomRequest, Room, RoomAccess, Visibility
from tests.protocol.wire_values import JSON, WIRE_TYPES


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@attrs.frozen
class Inner:
    name: str
    count: int = 0


@attrs.frozen
class Outer:
    label: str = attrs.field(metadata=wire(name="from"))
    flag: bool = False
    ratio: float = 0.0
    inner: Inner | None = None
    inners: tuple[Inner, ...] = ()
    words: tuple[str, ...] = attrs.field(default=(), metadata=wire(always=True))
    colour: Colour = Colour.RED
    data: dict[str, Any] | None = None


def problems(text: str | bytes, kind: type[Any] = Outer) -> list[str]:
    with pytest.raises(DecodeError) as caught:
        decode(text, kind)
    assert str(caught.value) == "; ".join(map(str, caught.value.problems))
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"from": 5}, "$.from: must be a string, not an integer"),
        ({"from": True}, "$.from: must be a string, not true or false"),
        ({"from": ["a"]}, "$.from: must be a string, not a list"),
        ({"from": {"a": "b"}}, "$.from: must be a string, not an object"),
        ({}, "$.from: is required"),
        ({"from": None}, "$.from: is required"),
        ({"from": "a", "flag": "true"}, "$.flag: must be true or false, not a string"),
        ({"from": "a", "flag": 1}, "$.flag: must be true or false, not an integer"),
        ({"from": "a", "ratio": "0.5"}, "$.ratio: must be a number, not a string"),
        ({"from": "a", "ratio": True}, "$.ratio: must be a number, not true or false"),
        ({"from": "a", "inner": []}, "$.inner: must be an object, not a list"),
        ({"from": "a", "inner": {}}, "$.inner.name: is required"),
        ({"from": "a", "inner": {"name": "b", "count": 1.0}}, "$.inner.count: must be an integer, not a number"),
        ({"from": "a", "inner": {"name": "b", "count": True}}, "$.inner.count: must be an integer, not true or false"),
        ({"from": "a", "inners": {}}, "$.inners: must be a list, not an object"),
        ({"from": "a", "inners": "ab"}, "$.inners: must be a list, not a string"),
        ({"from": "a", "inners": [{"name": "b"}, 7]}, "$.inners[1]: must be an object, not an integer"),
        ({"from": "a", "inners": [{"name": None}]}, "$.inners[0].name: is required"),
        ({"from": "a", "words": ["b", None]}, "$.words[1]: must be a string, not null"),
        ({"from": "a", "words": [["b"]]}, "$.words[0]: must be a string, not a list"),
        ({"from": "a", "colour": "green"}, "$.colour: must be one of red, blue"),
        ({"from": "a", "colour": "RED"}, "$.colour: must be one of red, blue"),
        ({"from": "a", "colour": 1}, "$.colour: must be a string, not an integer"),
        ({"from": "a", "data": []}, "$.data: must be an object, not a list"),
        ({"from": "a", "data": "{}"}, "$.data: must be an object, not a string"),
        ([], "$: must be an object, not a list"),
        ("text", "$: must be an object, not a string"),
        (5, "$: must be an object, not an integer"),
        (False, "$: must be an object, not true or false"),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_with_its_path(document: object, expected: str) -> None:
    assert problems(json.dumps(document)) == [expected]


def test_every_problem_is_named() -> None:
    document = {"flag": 1, "inner": {"count": "1"}, "words": ["a", 2, "c", 4]}
    assert sorted(problems(json.dumps(document))) == [
        "$.flag: must be true or false, not an integer",
        "$.from: is required",
        "$.inner.count: must be an integer, not a string",
        "$.inner.name: is required",
        "$.words[1]: must be a string, not an integer",
        "$.words[3]: must be a string, not an integer",
    ]


def test_a_member_of_an_enumeration_is_read_from_its_value() -> None:
    room = decode(
        b'{"id":"r","network_id":"n","fqid":"molt://n/rooms/r","name":"r","created_at":"2026-01-01T00:00:00Z",'
        b'"visibility":"public","write_policy":"operators",'
        b'"access":{"can_read":true,"can_write":false,"reason":"public-read/operators-write"}}',
        Room,
    )
    assert room.visibility is Visibility.PUBLIC
    assert room.access == RoomAccess(can_read=True, can_write=False, reason="public-read/operators-write")


def test_null_leaves_a_field_at_its_default() -> None:
    document = {"from": "a", "flag": None, "inner": None, "words": None, "colour": None, "data": None}
    assert decode(json.dumps(document), Outer) == Outer("a")


def test_null_inside_free_data_is_kept() -> None:
    assert decode('{"from":"a","data":{"b":null}}', Outer).data == {"b": None}


def test_null_for_the_whole_document_means_an_empty_object() -> None:
    assert decode("null", CreateRoomRequest) == CreateRoomRequest()


def test_an_integer_is_a_number() -> None:
    ratio = decode('{"from":"a","ratio":2}', Outer).ratio
    assert (ratio, type(ratio)) == (2.0, float)


def test_keys_are_compared_exactly() -> None:
    assert decode('{"from":"a","FROM":"c","From":"d"}', Outer).label == "a"
    assert decode('{"ID":"a","Name":"b"}', CreateRoomRequest) == CreateRoomRequest()


def test_an_optional_key_is_left_out_and_one_that_must_be_there_is_not() -> None:
    assert encode(Outer("a")) == b'{"from":"a","words":[]}'


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "{",
        "{}{}",
        "{} x",
        "{'a':1}",
        '{"a":1,}',
        "[1,]",
        "nul",
        "NaN",
        "Infinity",
        "-Infinity",
        "1e999",
        "01",
        '{"a":}',
        '"\t"',
        '"\\x"',
        '"\\ud800"',
        '"\\udc00\\ud800"',
        '"\ud800"',
        "\ufeff{}",
        "// comment\n{}",
        b"\xff",
        b'"\xed\xa0\x80"',
        b'"\xc0\x80"',
        b"{}\x00",
    ],
)
def test_what_is_not_one_json_document_in_utf_8_is_refused(text: str | bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        parse_json(text)
    assert [problem.path for problem in caught.value.problems] == ["$"]
    assert str(caught.value).startswith("$: is not valid JSON: ")


@pytest.mark.parametrize("text", ["\x00", "\u2028\u2029", "<&>", "\U0001f41d", "e\u0301", "\uffff", "\x7f", '"\\/', ""])
def test_every_character_that_unicode_has_survives(text: str) -> None:
    assert decode(encode(Part("text", text)), Part).text == text
    assert decode(json.dumps({"text": text}), Part).text == text


def test_an_escaped_null_character_is_text_and_a_raw_one_is_not_json() -> None:
    assert decode('{"text":"a\\u0000b"}', Part).text == "a\x00b"
    with pytest.raises(DecodeError):
        decode('{"text":"a\x00b"}', Part)


def test_large_numbers_in_free_data_are_doubles_as_on_other_servers() -> None:
    data = decode('{"data":{"n":123456789012345678901234567890,"m":18446744073709551615}}', Part).data
    assert data == {"n": 1.2345678901234568e29, "m": 2**64 - 1}
    assert decode(encode(Part(data=data)), Part).data == data


def test_a_number_beyond_64_bits_is_not_an_integer() -> None:
    assert problems('{"from":"a","inner":{"name":"b","count":18446744073709551616}}') == [
        "$.inner.count: must be an integer, not a number"
    ]


@pytest.mark.parametrize(
    ("opening", "innermost", "closing"),
    [("[", "[]", "]"), ('{"a":', "{}", "}"), ("[", "[1]", "]"), ('[{"a":', "{}", "}]")],
)
def test_a_document_may_be_nested_up_to_the_limit(opening: str, innermost: str, closing: str) -> None:
    levels = len(closing)
    fitting, one_more = (MAX_JSON_DEPTH - 1) // levels, MAX_JSON_DEPTH // levels
    assert parse_json(opening * fitting + innermost + closing * fitting) is not None
    with pytest.raises(DecodeError, match=f"nested deeper than {MAX_JSON_DEPTH} levels"):
        parse_json(opening * one_more + innermost + closing * one_more)


@pytest.mark.parametrize("text", ["[" * 100_000, "[" * 1000 + "]" * 1000, '{"a":' * 1000 + "1" + "}" * 1000])
def test_deep_nesting_is_refused_before_anything_walks_it(text: str) -> None:
    with pytest.raises(DecodeError):
        decode(text, SendMessageRequest)


def test_a_body_full_of_wrong_items_gets_a_short_answer() -> None:
    items = (MAX_BODY_BYTES - 100) // 2
    found = problems(b'{"parts":[' + b",".join([b"1"] * items) + b"]}", SendMessageRequest)
    assert len(found) == MAX_REPORTED_PROBLEMS
    assert found[-1] == f"$.parts[{MAX_REPORTED_PROBLEMS - 1}]: must be an object, not an integer"


def test_an_error_of_many_problems_tells_the_first() -> None:
    error = DecodeError(*(Problem(f"$[{index}]", "is wrong") for index in range(1000)))
    assert len(error.problems) == MAX_REPORTED_PROBLEMS
    assert str(error).startswith("$[0]: is wrong; $[1]: is wrong")


def test_a_converter_without_a_cap_names_every_wrong_item() -> None:
    converter = make_converter(forbid_extra_keys=True)
    with pytest.raises(ExceptionGroup) as caught:
        converter.structure([1] * 100, tuple[str, ...])
    assert len(caught.value.exceptions) == 100


def test_angle_brackets_are_not_escaped_so_a_message_keeps_its_size() -> None:
    assert len(encode(Part("text", "<" * 300_000))) < 300_100


def assert_value_or_problems(data: bytes | str, kind: type[Any]) -> None:
    outcome: Any
    try:
        outcome = decode(data, kind)
    except DecodeError as error:
        outcome = error
    if type(outcome) is kind:
        return
    assert isinstance(outcome, DecodeError)
    assert outcome.problems
    assert all(problem.path.startswith("$") and problem.message for problem in outcome.problems)


@settings(max_examples=50)
@given(JSON)
def test_any_json_gives_a_value_or_a_decode_error(document: object) -> None:
    text = json.dumps(document)
    for kind in (Outer, Message, SendMessageRequest, *WIRE_TYPES):
        assert_value_or_problems(text, kind)


@given(st.binary() | st.text(st.characters()))
def test_any_bytes_or_text_give_a_value_or_a_decode_error(data: bytes | str) -> None:
    assert_value_or_problems(data, CreateRoomRequest)


def test_plain_values_are_structured_like_documents() -> None:
    assert structure({"from": "a", "inners": [{"name": "b"}]}, Outer) == Outer("a", inners=(Inner("b"),))


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ('{"text":"a","text":"b"}', "text"),
        ('{"text":"a","\\u0074ext" :"b"}', "text"),
        ('{"data":{"a":{"x\\"":1,"x\\"":1}}}', 'x"'),
        ('[{"a":":"},{"b":[{"":1,\n"" \r\n\t:2}]}]', ""),
        (f'{{"n":{"9" * 300},"{"k" * 5000}":1,"{"k" * 5000}":2}}', "k" * 64),
    ],
)
def test_a_key_that_is_there_twice_is_refused(text: str, key: str) -> None:
    """Weakness 15 of the message model: what such a document says depends on who reads it."""
    for data in (text, text.encode()):
        with pytest.raises(DecodeError) as caught:
            parse_json(data)
        assert str(caught.value) == f'$: has the key "{key}" twice in one object'


@pytest.mark.parametrize(
    "text",
    [
        '{"a":{"a":{"a":[{"a":1},{"a":1}]}}}',
        '{"a":"a\\":","b":"\\\\","c":"\\"b\\":"}',
        '["a","a",":",":"]',
        '"{\\"a\\":1,\\"a\\":1}"',
        "{}",
        "1",
        '{"🐝" : ":"}',
    ],
)
def test_a_key_may_be_there_again_in_another_object_and_a_text_may_look_like_one(text: str) -> None:
    assert parse_json(text) == json.loads(text) == parse_json(text.encode())


@given(st.recursive(st.text() | st.integers(-5, 5), lambda each: st.lists(each) | st.dictionaries(st.text(), each)))
def test_what_any_encoder_writes_has_no_key_twice(value: object) -> None:
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False, indent=1)):
        assert parse_json(text) == value == parse_json(text.encode())
