"""A network as the reference implementation has it, as far as pairing goes: what it takes, and what it relays.

Written from the description of its protocol and not from our code (pairing §1 to §5, auth §6 to §8, message model §6
and §10), with its weaknesses: it knows a message by its id alone, its relay lives in memory, has eight places, no order
and no second try, and whatever goes wrong silences a pairing for half a minute.
"""

import hashlib
import re
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import attrs
import h11
import orjson
import trio

from tests.fakes.http_client import HttpClient
from tests.fakes.http_server import Reply, SeenRequest, answer, read_request
from tests.fakes.network import secret_of

RELAY_SLOTS: Final = 8
RELAY_SECONDS: Final = 5.0
SILENT_SECONDS: Final = 30.0
PAGE_ITEMS: Final = 100
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}\Z")
_CODES: Final = {
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    409: "conflict",
    422: "unprocessable_entity",
}
Json = dict[str, Any]


@attrs.frozen
class Failed(Exception):
    status: int
    text: str


@attrs.define(eq=False)
class ReferencePairing:
    """The way to another network: ``token`` names one of ``secret_of``. Everything about it is in memory."""

    remote_network_id: str
    url: str
    token: str
    status: str = "unknown"
    failed_at: float = float("-inf")


@attrs.define(eq=False)
class ReferenceNetwork:
    """One network in mode bearer. ``rooms`` are its rooms and their members, as they are written in its file.

    ``pair_tokens`` may hand in messages, ``other_tokens`` may not. ``misbehaves`` answers instead of it.
    """

    id: str
    rooms: dict[str, list[str]]
    pair_tokens: frozenset[str]
    other_tokens: frozenset[str] = frozenset()
    public_read: bool = False
    direct_messages: bool = True
    url: str = ""
    misbehaves: Callable[[SeenRequest], Reply | None] = lambda _: None
    messages: dict[str, Json] = attrs.field(factory=dict)
    repeats: int = 0
    pairings: list[ReferencePairing] = attrs.field(factory=list)
    results: list[str] = attrs.field(factory=list)
    """What its metric counts: success, error, dropped; and skipped, which it does not count."""
    _slots: int = RELAY_SLOTS
    _relaying: trio.Nursery | None = None

    # What it takes.

    async def serve(self, stream: trio.abc.Stream) -> None:
        try:
            while (request := await read_request(stream, 0)) is not None:
                if not await (self.misbehaves(request) or self._reply(request))(stream, request):
                    break
        except (trio.BrokenResourceError, trio.ClosedResourceError, h11.RemoteProtocolError):
            pass
        finally:
            await trio.aclose_forcefully(stream)

    def _reply(self, request: SeenRequest) -> Reply:
        try:
            return answer(*self._answer(request))
        except Failed as failed:
            code = _CODES[failed.status]
            return answer(failed.status, {"code": code, "error": failed.text, "request_id": f"req_{'0' * 16}"})

    def _answer(self, request: SeenRequest) -> tuple[int, Json]:
        url = urlsplit(request.target)
        token = self._token(request)
        match request.method, url.path:
            case "GET", "/v1/network":
                return 200, self.document()
            case "GET", "/v1/rooms":
                shown = sorted(self.rooms) if self.public_read else []
                rooms = [
                    {
                        "id": each,
                        "name": each,
                        "created_at": "2026-01-01T00:00:00Z",
                        "network_id": self.id,
                        "fqid": f"molt://{self.id}/rooms/{each}",
                        "visibility": "public",
                        "write_policy": "members",
                        "access": {"can_read": True, "can_write": False, "reason": "public-read"},
                    }
                    for each in shown
                ]
                return 200, page("rooms", rooms, parse_qs(url.query))
            case "POST", "/v1/messages":
                if token not in self.pair_tokens:
                    raise Failed(403, "forbidden")
                return self._take(orjson.loads(request.body))
        raise Failed(404, "not found")

    def _token(self, request: SeenRequest) -> str:
        given = request.headers.get("authorization", "")
        if not given:
            raise Failed(401, "authorization required")
        for token in self.pair_tokens | self.other_tokens:
            if given == f"Bearer {secret_of(token)}":
                return token
        raise Failed(401, "invalid token")

    def document(self) -> Json:
        return {
            "id": self.id,
            "name": self.id.title(),
            "version": "0.1.13",
            "protocols": {"http": ["moltnet.http.v1"], "attach": ["moltnet.attach.v1"], "pair": ["moltnet.pair.v1"]},
            "capabilities": {
                "event_stream": "sse",
                "attachment_protocol": "websocket",
                "public_read": self.public_read,
                "agent_registration": "disabled",
                "human_ingress": True,
                "direct_messages": self.direct_messages,
                "message_pagination": "cursor",
                "pairings": bool(self.pairings),
            },
        }

    def _take(self, sent: Json) -> tuple[int, Json]:
        target, sender, origin = sent["target"], sent["from"], sent["origin"]
        if target["kind"] == "dm" and not self.direct_messages:
            raise Failed(403, "direct messages are disabled for this network")
        named = {sender.get("network_id", ""), *(networks(sender.get("fqid", ""), sender["id"]))}
        if named != {origin["network_id"]} or origin["network_id"] == self.id:
            raise Failed(409, 'agent "remote origin actor" is already registered with different credentials')
        if sent.get("id") and not _ID.match(sent["id"].strip()):
            raise Failed(422, "id must match [A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
        if target["kind"] != "dm":
            self._check_room(target["room_id"], sender)
        message_id = sent.get("id") or f"msg_{uuid.uuid4()}"
        if message_id in self.messages:
            self.repeats += 1
        else:
            self.messages[message_id] = {**sent, "id": message_id, "network_id": self.id}
        return 202, {
            "message_id": message_id,
            "event_id": event_id(message_id),
            "accepted": True,
            "thread_created": False,
            "dm_created": False,
        }

    def _check_room(self, room_id: str, sender: Json) -> None:
        if room_id not in self.rooms:
            raise Failed(404, f'unknown room "{room_id}"')
        net, agent = sender["network_id"], sender["id"]
        if not {agent, f"{net}:{agent}", f"molt://{net}/agents/{agent}"} & set(self.rooms[room_id]):
            raise Failed(403, f'room "{room_id}" write policy forbids sender')

    def texts(self, kind: str, conversation: str) -> list[str]:
        """What was said in a conversation, in the order of its arrival."""
        key = f"{kind}_id"
        return [
            each["parts"][0]["text"]
            for each in self.messages.values()
            if each["target"]["kind"] == kind and each["target"][key] == conversation
        ]

    # What it relays.

    def say(self, target: Json, text: str, *, sender: str = "alpha", message_id: str = "") -> str:
        """Accept a message of its own agent, and relay it as it does: at once or never."""
        message_id = message_id or f"msg_{uuid.uuid4()}"
        actor = {"type": "agent", "id": sender, "network_id": self.id, "fqid": f"molt://{self.id}/agents/{sender}"}
        message = {
            "id": message_id,
            "origin": {"network_id": self.id, "message_id": message_id},
            "target": target,
            "from": actor,
            "parts": [{"kind": "text", "text": text}],
            "mentions": re.findall(r"<@(molt://[^\s>]+)>", text),
        }
        self.messages[message_id] = {**message, "network_id": self.id}
        assert self._relaying is not None
        for pairing in self.pairings:
            sent = message if target["kind"] != "dm" else self._rewritten(message, pairing)
            if sent is None:
                continue
            if not self._slots:
                self.results.append("dropped")
                continue
            self._slots -= 1
            self._relaying.start_soon(self._relay, pairing, sent)
        return message_id

    def _rewritten(self, message: Json, pairing: ReferencePairing) -> Json | None:
        """A direct message for another network, or nothing if it is not for that one."""
        participants, target = [], message["target"]
        for each in target["participant_ids"]:
            net, _, agent = each.rpartition(":")
            participants.append(
                f"{net or (self.id if agent == message['from']['id'] else pairing.remote_network_id)}:{agent}"
            )
        distinct = list(dict.fromkeys(participants))
        if not any(each.startswith(f"{pairing.remote_network_id}:") for each in target["participant_ids"]):
            return None
        return None if len(distinct) < 2 else {**message, "target": {**target, "participant_ids": distinct}}

    async def _relay(self, pairing: ReferencePairing, message: Json) -> None:
        try:
            if pairing.status == "error" and trio.current_time() - pairing.failed_at < SILENT_SECONDS:
                self.results.append("skipped")
                return
            with trio.move_on_after(RELAY_SECONDS) as sending:
                result = await self._try(pairing, message)
            if sending.cancelled_caught or not result:
                pairing.status, pairing.failed_at = "error", trio.current_time()
                self.results.append("error")
            else:
                pairing.status = "connected"
                self.results.append("success")
        finally:
            self._slots += 1

    async def _try(self, pairing: ReferencePairing, message: Json) -> bool:
        client = HttpClient(pairing.url, pairing.token)
        try:
            if pairing.status in ("unknown", "error"):
                found = await client.get("/v1/network")
                if found.status != 200 or found.json()["id"] != pairing.remote_network_id:
                    return False
            sent = await client.post("/v1/messages", message)
            return 200 <= sent.status < 300 and bool(sent.json()["accepted"])
        except (OSError, trio.BrokenResourceError, h11.RemoteProtocolError):
            return False

    async def remote_ids(self, pairing: ReferencePairing, kind: str) -> list[str]:
        """Rooms or agents of the other network, as its own readers are shown them: the first page, and no more."""
        found = await HttpClient(pairing.url, pairing.token).get(f"/v1/{kind}")
        assert found.status == 200, found.body
        return [each["id"] for each in found.json()[kind]]

    def stop(self) -> None:
        """What is under way is forgotten; so it is for every restart."""
        assert self._relaying is not None
        self._relaying.cancel_scope.cancel()


def event_id(message_id: str) -> str:
    digest = bytearray(hashlib.sha256(message_id.strip().encode()).digest()[:16])
    digest[6], digest[8] = (digest[6] & 0x0F) | 0x40, (digest[8] & 0x3F) | 0x80
    return f"evt_{uuid.UUID(bytes=bytes(digest))}"


def networks(fqid: str, agent_id: str) -> Sequence[str]:
    """The networks that an actor's FQID and id name."""
    found = [fqid.removeprefix("molt://").partition("/")[0]] if fqid.startswith("molt://") else []
    return [*found, *([agent_id.partition(":")[0]] if ":" in agent_id else [])]


def page(kind: str, items: Sequence[Json], query: Mapping[str, Sequence[str]]) -> Json:
    """By ``limit`` and ``after``; ``has_more`` is also true of what came before."""
    limit = int(query.get("limit", [str(PAGE_ITEMS)])[0])
    after = query.get("after", [""])[0]
    if after and after not in [each["id"] for each in items]:
        raise Failed(422, f'invalid cursor "{after}"')
    following = [each for each in items if each["id"] > after]
    shown = following[:limit]
    info: Json = {"has_more": len(shown) < len(items)}
    if shown and len(shown) < len(following):
        info["next_after"] = shown[-1]["id"]
    if shown and after:
        info["next_before"] = shown[0]["id"]
    return {kind: list(shown), "page": info}


@asynccontextmanager
async def open_reference(network: ReferenceNetwork, port: int = 0) -> AsyncIterator[ReferenceNetwork]:
    """Serve it on a port of 127.0.0.1 until the block is left; what it relays then is forgotten."""
    listeners = await trio.open_tcp_listeners(port, host="127.0.0.1")
    network.url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
    async with trio.open_nursery() as nursery:
        async with trio.open_nursery() as network._relaying:
            await nursery.start(partial(trio.serve_listeners, network.serve, listeners))
            yield network
            network._relaying.cancel_scope.cancel()
        nursery.cancel_scope.cancel()
