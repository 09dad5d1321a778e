"""Every value of the wire comes back as it went, and its keys obey the rule on empty fields."""

import json
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moltnet.protocol.codec import ALWAYS, WIRE_NAME, decode, encode, unstructure
from moltnet.protocol.events import Event
from moltnet.protocol.frames import EventFrame, UnknownFrame, encode_frame, event_frame_text, parse_frame
from moltnet.protocol.messages import SendMessageRequest
from moltnet.protocol.network import ATTACH_PROTOCOL
from tests.protocol.wire_values import WIRE_TYPES, values_of

FRAMES = tuple(cls for cls in WIRE_TYPES if hasattr(cls, "OP"))
# Of each type; there are dozens, and what one does not show another does.
few = settings(max_examples=15)


def test_the_strategies_see_the_types_of_all_subjects() -> None:
    names = {cls.__name__ for cls in WIRE_TYPES}
    assert {"Message", "Room", "AgentSummary", "Network", "MessagePage", "Pairing", "Event", "Identify"} <= names
    assert len(FRAMES) == 8


@pytest.mark.parametrize("cls", WIRE_TYPES, ids=lambda cls: cls.__name__)
@few
@given(data=st.data())
def test_a_value_comes_back_as_it_went(cls: type[Any], data: st.DataObject) -> None:
    value = data.draw(values_of(cls))
    assert decode(encode(value), cls) == value


@pytest.mark.parametrize("cls", WIRE_TYPES, ids=lambda cls: cls.__name__)
@few
@given(data=st.data())
def test_a_key_is_left_out_if_and_only_if_it_holds_its_default_and_may_be_left_out(
    cls: type[Any], data: st.DataObject
) -> None:
    value = data.draw(values_of(cls))
    keys = set(unstructure(value))
    for field in attrs.fields(cls):
        key = field.metadata.get(WIRE_NAME) or field.name
        is_default = field.default is not attrs.NOTHING and getattr(value, field.name) == field.default
        assert (key in keys) is (bool(field.metadata.get(ALWAYS)) or not is_default), key


@pytest.mark.parametrize("cls", WIRE_TYPES, ids=lambda cls: cls.__name__)
@few
@given(data=st.data())
def test_keys_of_a_newer_version_are_ignored(cls: type[Any], data: st.DataObject) -> None:
    value = data.draw(values_of(cls))
    newer = {**unstructure(value), "a_key_of_the_future": [1, {"x": None}]}
    assert decode(json.dumps(newer), cls) == value


@pytest.mark.parametrize("cls", FRAMES, ids=lambda cls: cls.__name__)
@few
@given(data=st.data())
def test_a_frame_comes_back_as_it_went_with_our_version(cls: type[Any], data: st.DataObject) -> None:
    frame = data.draw(values_of(cls))
    text = encode_frame(frame)
    assert text.endswith("}\n")
    assert text.count("\n") == 1
    assert parse_frame(text) == attrs.evolve(frame, version=ATTACH_PROTOCOL)


@given(values_of(Event))
def test_a_spliced_event_frame_is_the_frame_that_would_be_encoded(event: Event) -> None:
    plain = json.loads(encode(event))
    expected = EventFrame(network_id="net_a", cursor="evt_1", event=plain, version=ATTACH_PROTOCOL)
    spliced = event_frame_text("net_a", "evt_1", encode(event))
    assert parse_frame(spliced) == expected
    assert spliced.endswith("}\n")
    assert json.loads(spliced) == json.loads(encode_frame(expected))


@given(values_of(SendMessageRequest))
def test_a_trimmed_request_stays_as_it_is_when_trimmed_again(request_: SendMessageRequest) -> None:
    once = request_.trimmed()
    assert once.trimmed() == once


def test_a_token_is_not_shown_by_repr() -> None:
    secrets = [cls for cls in WIRE_TYPES if "agent_token" in attrs.fields_dict(cls)]
    assert secrets
    for cls in secrets:
        assert attrs.fields_dict(cls)["agent_token"].repr is False, cls


def test_an_unknown_frame_is_never_written() -> None:
    with pytest.raises(TypeError):
        encode_frame(UnknownFrame("DANCE"))
