"""Frames as a peer writes them, and sessions that have come some way."""

import json

import pytest

from fuzz.frames import EVENT, NETWORK
from moltnet.protocol.attachment import ClientSession, ServerSession, State
from moltnet.protocol.errors import ProtocolViolation
from moltnet.protocol.frames import FrameCapabilities, event_frame_text
from moltnet.protocol.limits import DELIVERY_WINDOW_EVENTS
from moltnet.protocol.network import ATTACH_PROTOCOL

Session = ServerSession | ClientSession


def frame(op: str, **fields: object) -> str:
    return json.dumps({"op": op, "version": ATTACH_PROTOCOL, **fields})


def identify_frame(**fields: object) -> str:
    return frame("IDENTIFY", **{"network_id": NETWORK, "agent": {"id": "alpha"}, **fields})


def event_frame(cursor: str) -> str:
    return event_frame_text(NETWORK, cursor, EVENT)


def refusal(session: Session, text: str | bytes, now: float = 0.0) -> str:
    with pytest.raises(ProtocolViolation) as caught:
        session.receive_text(text, now)
    assert session.state is State.CLOSED
    return caught.value.answer


def greeted_server() -> ServerSession:
    server = ServerSession(NETWORK, now=0.0)
    server.hello()
    return server


def attached_server(*, window_events: int = DELIVERY_WINDOW_EVENTS, now: float = 0.0) -> ServerSession:
    server = ServerSession(NETWORK, window_events=window_events, now=now)
    server.hello()
    server.receive_text(identify_frame(), now)
    server.ready("alpha", "actor_1", "molt://net_a/agents/alpha", now=now)
    return server


def new_client(cursor: str = "") -> ClientSession:
    capabilities = FrameCapabilities(rooms=True, dms=True)
    return ClientSession(NETWORK, "alpha", "Alpha", cursor=cursor, capabilities=capabilities, now=0.0)


def identified_client() -> ClientSession:
    client = new_client()
    client.receive_text(frame("HELLO", heartbeat_interval_ms=5000), 0.0)
    client.identify()
    return client


def attached_client() -> ClientSession:
    client = identified_client()
    client.receive_text(frame("READY", network_id=NETWORK), 0.0)
    return client
