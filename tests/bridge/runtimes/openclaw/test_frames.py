"""Frames of the gateway's protocol as values, without a connection."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.runtimes.openclaw.frames import (
    Answer,
    Challenge,
    FrameUnreadable,
    Refusal,
    call_failure,
    connect_failure,
    connect_params,
    parse_frame,
    signed_text,
)
from bridge.runtimes.runtime import RuntimeMisconfigured, TurnFailed

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
NEARLY_FRAMES = st.fixed_dictionaries(
    {"type": st.sampled_from(["res", "event"]) | JSON},
    optional={
        "id": st.just("agent-1") | JSON,
        "ok": st.booleans() | JSON,
        "event": st.sampled_from(["connect.challenge", "chat", "tick"]) | JSON,
        "payload": st.fixed_dictionaries({}, optional={"nonce": JSON, "ts": JSON}) | JSON,
        "error": st.fixed_dictionaries(
            {}, optional={"code": JSON, "message": JSON, "details": JSON, "retryAfterMs": JSON}
        )
        | JSON,
    },
)


@given(st.binary(max_size=64) | JSON.map(orjson.dumps) | NEARLY_FRAMES.map(orjson.dumps))
def test_whatever_comes_is_a_frame_or_is_refused_and_nothing_else(data: bytes) -> None:
    try:
        frame = parse_frame(data)
    except FrameUnreadable:
        return
    assert frame is None or isinstance(frame, Challenge | Answer)


@pytest.mark.parametrize(
    ("frame", "meaning"),
    [
        ({"type": "event", "event": "connect.challenge", "payload": {"nonce": "n", "ts": 5}}, Challenge("n", 5)),
        ({"type": "event", "event": "tick", "payload": {}}, None),
        ({"type": "event", "event": "agent"}, None),
        ({"type": "res", "id": "a", "ok": True, "payload": {"x": 1}}, Answer("a", {"x": 1})),
        ({"type": "res", "id": "a", "ok": True}, Answer("a")),
        (
            {
                "type": "res",
                "id": "a",
                "ok": False,
                "error": {
                    "code": "UNAVAILABLE",
                    "message": "starting",
                    "details": {"code": "X"},
                    "retryable": True,
                    "retryAfterMs": 500,
                },
            },
            Answer("a", {}, Refusal("UNAVAILABLE", "starting", "X", True, 0.5)),
        ),
        ({"type": "res", "id": "a", "ok": False}, Answer("a", {}, Refusal("no code", ""))),
    ],
)
def test_what_frames_mean(frame: Any, meaning: Any) -> None:
    assert parse_frame(orjson.dumps(frame)) == meaning


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"7", b'{"type":"event","event":"connect.challenge","payload":{}}', b'{"type":"res"}']
)
def test_what_is_no_frame_is_refused(data: bytes) -> None:
    with pytest.raises(FrameUnreadable):
        parse_frame(data)


def test_a_handshake_asks_for_protocol_4_and_for_no_more_than_it_needs() -> None:
    params = connect_params("beta", "secret", {"id": "device"})
    assert (params["minProtocol"], params["maxProtocol"]) == (4, 4)
    assert params["scopes"] == ["operator.read", "operator.write"]
    assert params["auth"] == {"token": "secret"}
    assert params["client"]["instanceId"] == "moltnet-bridge-beta"


def test_without_a_token_nothing_is_said_about_one() -> None:
    assert "auth" not in connect_params("beta", "", {})


def test_what_a_device_signs_names_everything_that_it_asks_for() -> None:
    assert signed_text("device", Challenge("nonce", 12), "secret") == (
        "v3|device|gateway-client|backend|operator|operator.read,operator.write|12|secret|nonce|moltnet|bridge"
    )


@pytest.mark.parametrize(
    ("refusal", "advice"),
    [
        (Refusal("INVALID_REQUEST", "no", "AUTH_TOKEN_MISMATCH"), "is not the gateway's"),
        (Refusal("INVALID_REQUEST", "no", "PROTOCOL_MISMATCH"), "speaks protocol 4"),
        (Refusal("NOT_PAIRED", "no", "DEVICE_IDENTITY_REQUIRED"), "set runtime.token"),
        (Refusal("NOT_PAIRED", "no", "PAIRING_REQUIRED"), "openclaw devices approve; this device is 0123"),
    ],
)
def test_a_refused_handshake_says_what_to_change(refusal: Refusal, advice: str) -> None:
    assert advice in connect_failure(refusal, "0123").reason


@pytest.mark.parametrize(
    ("refusal", "passes"),
    [
        (Refusal("UNAVAILABLE", "starting"), True),
        (Refusal("BUSY", "later", retryable=True), True),
        (Refusal("INVALID_REQUEST", "late", "DEVICE_AUTH_SIGNATURE_EXPIRED"), True),
        (Refusal("INVALID_REQUEST", "no", "AUTH_TOKEN_MISMATCH"), False),
    ],
)
def test_which_refusals_pass(refusal: Refusal, passes: bool) -> None:
    assert refusal.passes is passes


@pytest.mark.parametrize(
    ("refusal", "kind", "retryable"),
    [
        (Refusal("UNAVAILABLE", "model down"), TurnFailed, True),
        (Refusal("INVALID_REQUEST", "message is empty"), TurnFailed, False),
        (Refusal("FORBIDDEN", "missing scope", "MISSING_SCOPE"), RuntimeMisconfigured, None),
        (Refusal("INVALID_REQUEST", 'Agent "x" no longer exists in configuration'), RuntimeMisconfigured, None),
    ],
)
def test_what_a_refused_request_means_for_its_turn(refusal: Refusal, kind: type, retryable: bool | None) -> None:
    failure = call_failure("agent", refusal)
    assert type(failure) is kind
    assert getattr(failure, "retryable", None) is retryable
    assert refusal.message in str(failure)


def test_what_a_gateway_says_is_one_bounded_printable_line() -> None:
    text = str(Refusal("CODE", "a\nb\x1b[2J" + "x" * 10_000))
    assert text.isprintable()
    assert len(text) < 1000
