"""The gateway's protocol 4 without I/O: requests as text, frames as values, and what a refusal means (runtimes §3.2).

The connection that carries them is `gateway.py`.
"""

from collections.abc import Mapping
from typing import Any, Final

import attrs
import orjson

from bridge.runtimes.runtime import RuntimeMisconfigured, TurnFailed
from bridge.runtimes.turn_process import shorten
from moltnet.client.errors import one_line

PROTOCOL: Final = 4
ROLE: Final = "operator"
# Writing implies reading; a turn needs nothing that only an admin may do.
SCOPES: Final = ("operator.read", "operator.write")
CLIENT_ID: Final = "gateway-client"
CLIENT_MODE: Final = "backend"
CLIENT_NAME: Final = "moltnet-bridge"
PLATFORM: Final = "moltnet"
DEVICE_FAMILY: Final = "bridge"

_UNAVAILABLE: Final = "UNAVAILABLE"
_SETTINGS_CODES: Final = frozenset({"FORBIDDEN", "NOT_PAIRED", "MISSING_SCOPE"})
_ADVICE: Final = {
    "AUTH_TOKEN_MISMATCH": "runtime.token, or OPENCLAW_GATEWAY_TOKEN, is not the gateway's",
    "AUTH_TOKEN_MISSING": "set runtime.token, or OPENCLAW_GATEWAY_TOKEN for the node",
    "DEVICE_IDENTITY_REQUIRED": "set runtime.token, or OPENCLAW_GATEWAY_TOKEN for the node",
    "PAIRING_REQUIRED": "approve it on the gateway's host: openclaw devices list, openclaw devices approve",
    "PROTOCOL_MISMATCH": f"this version speaks protocol {PROTOCOL}",
    "MISSING_SCOPE": f"the token must allow {' and '.join(SCOPES)}",
}
# A wrong clock is put right, and too many tries are forgotten.
_PASSING_DETAILS: Final = frozenset({"DEVICE_AUTH_SIGNATURE_EXPIRED", "AUTH_RATE_LIMITED"})
_UNKNOWN_AGENT: Final = "no longer exists in configuration"


class FrameUnreadable(Exception):
    """What came is no frame of the protocol."""


@attrs.frozen
class Refusal:
    """An answer that is not ok. `detail` is the more exact code, empty for none."""

    code: str
    message: str
    detail: str = ""
    retryable: bool = False
    retry_after_seconds: float = 0.0

    @property
    def passes(self) -> bool:
        """Whether the same request may be answered otherwise a little later, without anybody changing anything."""
        return self.code == _UNAVAILABLE or self.retryable or self.detail in _PASSING_DETAILS

    def __str__(self) -> str:
        code = self.detail or self.code
        advice = f"; {_ADVICE[code]}" if code in _ADVICE else ""
        return shorten(f"{one_line(self.message) or 'refused without a reason'} ({one_line(code)})") + advice


@attrs.frozen
class Challenge:
    """The gateway's first frame. `time_ms` is its own clock."""

    nonce: str
    time_ms: int


@attrs.frozen
class Answer:
    """The answer to the request `id`; `refusal` is None if it is ok."""

    id: str
    payload: Mapping[str, Any] = attrs.field(factory=dict)
    refusal: Refusal | None = None


Frame = Challenge | Answer | None


def parse_frame(data: str | bytes) -> Frame:
    """One message of the gateway; None for all that does not concern us. Raises `FrameUnreadable`, and nothing else."""
    try:
        frame = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise FrameUnreadable("it is no JSON") from error
    if not isinstance(frame, dict):
        raise FrameUnreadable("it is no object")
    match frame:
        case {"type": "res", "id": str(id), "ok": True}:
            return Answer(id, _object(frame.get("payload")))
        case {"type": "res", "id": str(id)}:
            return Answer(id, _object(frame.get("payload")), _refusal(_object(frame.get("error"))))
        case {"type": "event", "event": "connect.challenge"}:
            payload = _object(frame.get("payload"))
            nonce, time_ms = payload.get("nonce"), payload.get("ts")
            if not isinstance(nonce, str) or not nonce:
                raise FrameUnreadable("its challenge has no nonce")
            return Challenge(nonce, time_ms if isinstance(time_ms, int) else 0)
        case {"type": "event", "event": str()}:
            return None
        case _:
            raise FrameUnreadable("it is neither an answer nor an event")


def request(id: str, method: str, params: Mapping[str, Any]) -> str:
    return orjson.dumps({"type": "req", "id": id, "method": method, "params": params}).decode()


def connect_params(agent_id: str, token: str, device: Mapping[str, Any]) -> Mapping[str, Any]:
    """What `connect` wants to know. `device` is the proof of a `DeviceKey`."""
    params: dict[str, Any] = {
        "minProtocol": PROTOCOL,
        "maxProtocol": PROTOCOL,
        "client": {
            "id": CLIENT_ID,
            "mode": CLIENT_MODE,
            "version": CLIENT_NAME,
            "displayName": CLIENT_NAME,
            "platform": PLATFORM,
            "deviceFamily": DEVICE_FAMILY,
            "instanceId": f"{CLIENT_NAME}-{agent_id}",
        },
        "role": ROLE,
        "scopes": list(SCOPES),
        "device": device,
    }
    # A gateway without authentication takes an empty token for a wrong one.
    return {**params, "auth": {"token": token}} if token else params


def signed_text(device_id: str, challenge: Challenge, token: str) -> str:
    """What a device signs to prove itself, in the third form of the protocol. Platform and family are lower case."""
    return "|".join(
        (
            "v3",
            device_id,
            CLIENT_ID,
            CLIENT_MODE,
            ROLE,
            ",".join(SCOPES),
            str(challenge.time_ms),
            token,
            challenge.nonce,
            PLATFORM,
            DEVICE_FAMILY,
        )
    )


def connect_failure(refusal: Refusal, device_id: str) -> RuntimeMisconfigured:
    """What a refused `connect` means if it does not pass."""
    who = f"; this device is {device_id}" if "PAIR" in f"{refusal.code} {refusal.detail}" else ""
    return RuntimeMisconfigured(f"openclaw refuses the connection: {refusal}{who}")


def call_failure(method: str, refusal: Refusal) -> RuntimeMisconfigured | TurnFailed:
    """What a refused request means for the turn it belongs to."""
    reason = f"openclaw {method}: {refusal}"
    if refusal.passes:
        return TurnFailed(reason, retryable=True)
    if {refusal.code, refusal.detail} & _SETTINGS_CODES or _UNKNOWN_AGENT in refusal.message:
        return RuntimeMisconfigured(reason)
    return TurnFailed(reason, retryable=False)


def _refusal(error: Mapping[str, Any]) -> Refusal:
    details = _object(error.get("details"))
    delay_ms = error.get("retryAfterMs")
    return Refusal(
        _text(error.get("code")) or "no code",
        _text(error.get("message")),
        _text(details.get("code")),
        error.get("retryable") is True,
        max(0.0, delay_ms / 1000) if isinstance(delay_ms, int | float) else 0.0,
    )


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
