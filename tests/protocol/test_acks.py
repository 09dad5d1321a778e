"""ACKs of the usual spelling skip the JSON decoder, and nothing that they do shows it."""

import json
from collections.abc import Callable
from unittest import mock

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from moltnet.protocol.attachment import Acked, ServerInput, ServerSession
from moltnet.protocol.errors import ProtocolViolation
from moltnet.protocol.frames import Ack, acked_cursor, encode_frame
from moltnet.protocol.network import ATTACH_PROTOCOL
from tests.protocol.attach_scripts import attached_server

# How clients are known to write it: ours, the reference's (all fields of its one struct, in order), Python's.
USUAL = [
    encode_frame(Ack(cursor="evt_1")),
    '{"op":"ACK","cursor":"evt_1"}',
    '{"op":"ACK","cursor":"evt_1","version":"moltnet.attach.v1"}',
    '{"op":"ACK","version":"moltnet.attach.v1","cursor":"evt_1"}',
    '{"op":"ACK","version":"moltnet.attach.v1","capabilities":{},"cursor":"evt_1"}\n',
    json.dumps({"op": "ACK", "cursor": "evt_1"}),
    json.dumps({"op": "ACK", "version": ATTACH_PROTOCOL, "cursor": "evt_1"}),
]
ODD = [
    '{"cursor":"evt_1","op":"ACK"}',
    '{"op":"ACK","cursor":" evt_1 "}',
    '{"op":"ACK","cursor":"evt_1","more":1}',
    '{"op":"ACK","cursor":"evt_1","cursor":"evt_2"}',
    '{"op":"ACK","cursor":"evt\\u005f1"}',
    '{"op":"ACK","version":"moltnet.attach.v2","cursor":"evt_1"}',
    '{"op":"ACK","version":"moltnet_attach_v1","cursor":"evt_1"}',
    '{"op":"ack","cursor":"evt_1"}',
    '{"op":"ACK","cursor":"evt_1"}{"op":"ACK","cursor":"evt_2"}',
    '{"op":"ACK","cursor":"evt_1"}\n\n',
    '{"op":"ACK","cursor":""}',
    '{"op":"ACK","cursor":"ä"}',
    b'{"op":"ACK","cursor":"evt_1"}',
]
CURSORS = st.sampled_from(["evt_1", "evt_2", "evt_3", "evt_0", "evt_never", "", " evt_1", "x" * 129, "ä", 'a"b'])


def spelled() -> st.SearchStrategy[str]:
    """ACKs in any order of fields and with any spacing, and texts that are nearly one."""
    fields = st.fixed_dictionaries(
        {"op": st.sampled_from(["ACK", "PONG", "ack"]), "cursor": CURSORS},
        optional={
            "version": st.sampled_from([ATTACH_PROTOCOL, "", "other"]),
            "capabilities": st.sampled_from([{}, {"rooms": True}, 1]),
            "more": st.just(1),
        },
    )
    shuffled = fields.flatmap(lambda found: st.permutations(list(found.items())).map(dict))
    separators = st.sampled_from([(",", ":"), (", ", ": "), (" , ", " : ")])
    written = st.builds(lambda found, by: json.dumps(found, separators=by), shuffled, separators)
    ends = st.sampled_from(["", "\n", "\r\n", " ", "}", "\x00"])
    whole = st.builds(lambda text, end: text + end, st.one_of(written, st.sampled_from(USUAL)), ends)
    return st.one_of(
        whole, whole.flatmap(lambda text: st.integers(0, len(text)).map(lambda at: text[:at] + text[at + 1 :]))
    )


@pytest.mark.parametrize("text", USUAL)
def test_the_usual_spellings_are_known(text: str) -> None:
    assert acked_cursor(text) == "evt_1"


@pytest.mark.parametrize("text", ODD)
def test_every_other_one_is_read_in_full(text: str | bytes) -> None:
    assert acked_cursor(text) == ""


def played(texts: list[str]) -> tuple[list[tuple[ServerInput, ...] | str], ServerSession]:
    """What a session with three events in flight, and one settled, makes of these."""
    session = attached_server(window_events=4)
    session.put_in_flight({cursor: cursor for cursor in ("evt_0", "evt_1", "evt_2", "evt_3")})
    session.receive_text(encode_frame(Ack(cursor="evt_0")), 1.0)
    outcomes: list[tuple[ServerInput, ...] | str] = []
    for number, text in enumerate(texts):
        try:
            outcomes.append(session.receive_text(text, 2.0 + number))
        except ProtocolViolation as violation:
            outcomes.append(f"{violation.answer} {violation.close_code}")
    return outcomes, session


@given(st.lists(spelled(), max_size=6))
@example([USUAL[0], USUAL[0], USUAL[1]])
def test_the_short_way_and_the_full_way_come_to_the_same(texts: list[str]) -> None:
    short, by_short = played(texts)
    nothing: Callable[[str], str] = lambda _: ""  # noqa: E731 - the short way is closed
    with mock.patch("moltnet.protocol.attachment.acked_cursor", nothing):
        full, by_full = played(texts)
    assert short == full
    assert (by_short.state, by_short.in_flight, by_short.read_deadline) == (
        by_full.state,
        by_full.in_flight,
        by_full.read_deadline,
    )


def test_what_is_kept_of_an_ack_is_the_string_that_was_sent() -> None:
    session = attached_server()
    ours = "evt_" + "1"
    session.put_in_flight({ours: ours})
    (acked,) = session.receive_text('{"op":"ACK","cursor":"evt_1"}', 0.0)
    assert isinstance(acked, Acked)
    assert acked.cursor is ours
    assert next(iter(session._settled)) is ours
