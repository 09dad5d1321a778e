"""The network that is attacked: what is in it, who belongs there, and whether an attacker learnt or changed anything.

Everything private holds one of `PRIVATE_WORDS`; nothing else does. Every attack goes over real sockets.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import attrs
import trio

from moltnet.config.server_limits import CAPS_ONLY, LimitSettings
from moltnet.config.settings import AuthMode, MoltnetConfig, Registration, TokenSettings
from moltnet.http.api import make_api
from moltnet.protocol.ids import NetworkId
from moltnet.protocol.rooms import Visibility, WritePolicy
from tests.fakes.attach_client import Wire, WireClosed, attach, identify_frame, open_websocket_wire
from tests.fakes.http_client import HttpAnswer, HttpClient, bearer, http_client, open_connection
from tests.fakes.network import TestServer, event_types, network_config, open_test_server, room, token
from tests.weaknesses.bodies import Body, agent, in_direct, in_thread, said

PRIVATE_WORDS: Final = ("WORD-OF-THE-VAULT", "WORD-OF-A-THREAD", "WORD-BETWEEN-TWO", "file-of-the-vault")
ROOMS: Final = (
    room("vault", "alpha", "beta"),
    room("desk", write_policy=WritePolicy.OPERATORS),
    room("lobby", "beta", visibility=Visibility.PUBLIC, write_policy=WritePolicy.REGISTERED_AGENTS),
)
TOKENS: Final[tuple[TokenSettings, ...]] = (
    token("alpha", "attach write", "alpha"),
    token("beta", "attach write", "beta"),
    token("gamma", "attach write", "gamma"),
    token("ops", "observe write admin"),
    token("reader", "observe"),
    token("writer", "write"),
    token("attacher", "attach"),
    token("admin", "admin"),
    token("pair", "pair"),
    attrs.evolve(token("pair c", "pair"), network=NetworkId("net_c")),
)
MODES: Final = ("bearer", "bearer with public_read", "bearer with open registration", "open")
# What may stand in the place of a parameter: things that are there, and are nobody's business.
PARAMETERS: Final = {
    "room_id": "vault",
    "thread_id": "deep",
    "direct_id": "secret-talk",
    "agent_id": "alpha",
    "pairing_id": "link",
    "message_id": "m1",
    "approval_id": "guessed",
    "path": "anything",
}
QUERIES: Final = ("?room_id=vault", "?thread_id=deep", "?dm_id=secret-talk", "?limit=500", "?last_event_id=evt_gap_x")


def victim_config(
    mode: str = "bearer",
    *,
    limits: LimitSettings = CAPS_ONLY,
    tokens: tuple[TokenSettings, ...] = TOKENS,
    debug_events: bool = False,
    trusted_proxies: tuple[str, ...] = (),
) -> MoltnetConfig:
    kind, _, more = mode.partition(" with ")
    return network_config(
        mode=AuthMode(kind),
        tokens=tokens,
        rooms=ROOMS,
        public_read=more == "public_read",
        registration=Registration.OPEN if more == "open registration" else Registration.DISABLED,
        limits=limits,
        debug_events=debug_events,
        trusted_proxies=trusted_proxies,
    )


@asynccontextmanager
async def open_victim(config: MoltnetConfig | str = "bearer") -> AsyncIterator[TestServer]:
    """A server with something to steal in it."""
    config = victim_config(config) if isinstance(config, str) else config
    async with open_test_server(config) as server:
        await fill(server)
        yield server


async def fill(server: TestServer) -> None:
    client = http_client(server, "" if server.app.config.auth.mode is AuthMode.NONE else "ops")
    for body in private_messages():
        answer = await client.post("/v1/messages", body)
        assert answer.status == 202, answer


def private_messages() -> Iterator[Body]:
    file = {"kind": "file", "url": "https://files.test/file-of-the-vault", "filename": "file-of-the-vault"}
    yield said("WORD-OF-THE-VAULT", target={"kind": "room", "room_id": "vault"})
    yield said(target={"kind": "room", "room_id": "vault"}, parts=[file])
    yield {**in_thread("deep", "vault"), "parts": [{"kind": "text", "text": "WORD-OF-A-THREAD"}]}
    yield {**in_direct("secret-talk", "alpha", "beta"), "parts": [{"kind": "text", "text": "WORD-BETWEEN-TWO"}]}


def leaked(text: str) -> list[str]:
    return [word for word in PRIVATE_WORDS if word in text]


def routes(server: TestServer, *, reading: bool) -> Iterator[tuple[str, str]]:
    """Every route that the server has: method and a path that leads to something."""
    for rule in make_api(server.app).url_map.iter_rules():
        path = str(rule.rule)
        for name in rule.arguments:
            for written in (f"<{name}>", f"<path:{name}>"):
                path = path.replace(written, PARAMETERS[name])
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            if (method == "GET") is reading:
                yield method, path


async def read_everything(server: TestServer, client: HttpClient, headers: Mapping[str, str] | None = None) -> str:
    """All answers to all that can be asked, as one text."""
    found = []
    for _, path in routes(server, reading=True):
        if path == "/v1/events/stream":
            continue
        for query in ("", *QUERIES):
            answer = await client.request("GET", path + query, headers=headers)
            found.append(answer.body.decode(errors="replace"))
    assert len(found) > 100
    return "\n".join(found)


async def change_everything(
    server: TestServer, client: HttpClient, headers: Mapping[str, str] | None = None
) -> dict[str, HttpAnswer]:
    """Ask every route that changes something to do so; the answers by method and path."""
    bodies: Mapping[str, Any] = {
        "POST /v1/rooms": {"id": "planted"},
        "PATCH /v1/rooms/vault/members": {"add": ["mallory"]},
        "POST /v1/messages": said("planted", target={"kind": "room", "room_id": "vault"}),
        "POST /v1/agents/register": {"requested_agent_id": "alpha"},
        "POST /v1/apply": {"agents": [{"id": "alpha", "credential_key": "anonymous"}]},
        "POST /v1/session": {"token": "guessed"},
        "POST /v1/agents/alpha/approvals": {"event_id": "guessed"},
        "POST /v1/pairings/accept": {"invitation_id": "guessed", "secret": "guessed", "network_id": "net_x"},
    }
    answers = {}
    for method, path in routes(server, reading=False):
        what = f"{method} {path}"
        answers[what] = await client.request(method, path, bodies.get(what), headers=headers)
    assert len(answers) >= 12
    return answers


async def state_of(server: TestServer) -> tuple[object, ...]:
    """What an attack must leave as it was."""
    directory = server.app.context.directory
    agents = {each: directory.agent(each) for each in ("alpha", "beta", "gamma", "mallory")}
    rooms = {each: directory.room(each) for each in ("vault", "desk", "lobby", "planted")}
    return agents, rooms, await event_types(server.app)


async def upgrade(server: TestServer, token_id: str = "", headers: Mapping[str, str] | None = None) -> int:
    """The status of an upgrade to an attachment, 101 if it is let in; that one is left at once."""
    asked = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        **(bearer(token_id) if token_id else {}),
        **(headers or {}),
    }
    async with open_connection(server.url) as connection:
        await connection.send_request("GET", "/v1/attach", asked)
        with trio.fail_after(30):
            return int(bytes(await connection.stream.receive_some()).split()[1])


async def hear(wire: Wire, seconds: float = 0.3) -> str:
    """What an attachment is sent in this time, errors and the close included."""
    heard = []
    with trio.move_on_after(seconds):
        try:
            while True:
                heard.append(await wire.receive())
        except WireClosed as closed:
            heard.append(f"{closed.code} {closed.reason}")
    return "\n".join(heard)


async def refused_as(server: TestServer, agent_id: str, token_id: str = "", **fields: Any) -> str:
    """The ERROR that an attachment gets that says to be this agent."""
    async with open_websocket_wire(server.url, token_id) as wire:
        await wire.send(identify_frame(agent_id, **fields))
        with trio.fail_after(30):
            while '"ERROR"' not in (text := await wire.receive()):
                assert '"READY"' not in text, f"let in as {agent_id}"
            return text


__all__ = [
    "MODES",
    "PRIVATE_WORDS",
    "TOKENS",
    "agent",
    "attach",
    "change_everything",
    "fill",
    "hear",
    "in_direct",
    "in_thread",
    "leaked",
    "open_victim",
    "private_messages",
    "read_everything",
    "refused_as",
    "routes",
    "said",
    "state_of",
    "upgrade",
    "victim_config",
]
