"""cattrs makes `"5"` of 5 and `True` of "false" unless it is told otherwise (style, trap 8)."""

import attrs
import cattrs
import pytest

from moltnet.protocol.codec import DecodeError, decode
from moltnet.protocol.frames import UnknownFrame, parse_frame
from moltnet.protocol.messages import SendMessageRequest


@attrs.frozen
class Simple:
    text: str
    flag: bool
    number: int


def test_the_library_still_coerces_so_the_hooks_are_still_needed() -> None:
    assert cattrs.structure({"text": 5, "flag": "false", "number": "7"}, Simple) == Simple("5", True, 7)


@pytest.mark.parametrize(
    ("data", "path"),
    [
        (b'{"text":5,"flag":true,"number":7}', "$.text"),
        (b'{"text":"5","flag":"false","number":7}', "$.flag"),
        (b'{"text":"5","flag":1,"number":7}', "$.flag"),
        (b'{"text":"5","flag":true,"number":"7"}', "$.number"),
        (b'{"text":"5","flag":true,"number":7.0}', "$.number"),
        (b'{"text":"5","flag":true,"number":true}', "$.number"),
    ],
)
def test_a_value_of_another_type_is_refused_with_its_path(data: bytes, path: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(data, Simple)
    assert [problem.path for problem in caught.value.problems] == [path]


def test_a_room_named_5_is_not_the_room_5() -> None:
    with pytest.raises(DecodeError, match=r"target\.room_id"):
        decode(b'{"target":{"kind":"room","room_id":5}}', SendMessageRequest)


def test_an_unknown_tag_is_a_value_and_no_error() -> None:
    assert parse_frame('{"op":"TELEPATHY","version":"v"}') == UnknownFrame("TELEPATHY", "v")
