"""The network that the access table is about, and everybody who calls it.

What is in it stands at the top of `docs/access.md`.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

import attrs
import orjson
import trio

from moltnet.app import App
from moltnet.asgi import NetworkAsgi
from moltnet.auth.claims import ANONYMOUS, UNCHECKED, Claims, CredentialKind
from moltnet.auth.tokens import static_key
from moltnet.config.settings import AuthMode, MoltnetConfig, PairingSettings, RoomSettings, Scope, TokenSettings
from moltnet.core.agents import claim_agent, remove_agent
from moltnet.core.credentials import replace_token
from moltnet.protocol.ids import AgentId, NetworkId
from moltnet.protocol.messages import Part, PartKind, SendMessageRequest
from moltnet.protocol.rooms import Visibility, WritePolicy
from moltnet.storage.store import Store
from tests.fakes.asgi_client import open_exchange
from tests.fakes.network import (
    direct_message,
    network_config,
    open_test_app,
    post,
    room,
    room_message,
    secret_of,
    thread_message,
    token,
)

PUBLIC: Final = Visibility.PUBLIC
ROOMS: Final[tuple[RoomSettings, ...]] = (
    room("cellar", "alpha", "beta", "net_b:zeta"),
    room("desk", write_policy=WritePolicy.OPERATORS),
    room("hall", "alpha", "beta", visibility=PUBLIC),
    room("plaza", visibility=PUBLIC, write_policy=WritePolicy.REGISTERED_AGENTS),
)
OPERATOR: Final = Claims(CredentialKind.STATIC, static_key("operator"), frozenset(Scope) - {Scope.PAIR})

# Static tokens by the name of their column; the others of CALLERS have no token, a bad one, or one of an agent.
TOKENS: Final[tuple[TokenSettings, ...]] = (
    token("observe", "observe"),
    token("write", "write"),
    token("admin", "admin"),
    token("attach", "attach"),
    token("pair", "pair"),
    attrs.evolve(token("pair c", "pair"), network=NetworkId("net_c")),
    attrs.evolve(token("expired", "observe write admin attach"), expires_at=datetime(2026, 1, 1, tzinfo=UTC)),
    token("operator", "observe write admin attach"),
    token("for beta", "attach write", "beta"),
)
CALLERS: Final[Mapping[str, str]] = {
    "nobody": "no token",
    "bad token": "a token that this network does not know",
    "expired": "a token that allowed everything, past its `expires_at`",
    "removed": "the token of an agent that was removed",
    "revoked": "the token of an agent that was replaced by another",
    "alpha": "the token of the agent alpha",
    "gamma": "the token of the agent gamma, who is a member of nothing",
    "for beta": "a token with `attach` and `write` for the agent beta alone",
    "observe": "a token with this scope alone",
    "write": "a token with this scope alone",
    "attach": "a token with this scope alone",
    "pair": "a token with this scope alone; its first message binds it to `net_b`",
    "pair c": "a token with the scope `pair`, for the network `net_c`",
    "admin": "a token with this scope alone",
    "operator": "a token with `observe`, `write`, `admin` and `attach`",
}
MODES: Final[Mapping[str, MoltnetConfig]] = {
    "none": network_config(rooms=ROOMS),
    "bearer": network_config(mode=AuthMode.BEARER, tokens=TOKENS, rooms=ROOMS),
    "bearer with public_read": network_config(mode=AuthMode.BEARER, tokens=TOKENS, rooms=ROOMS, public_read=True),
    "open": network_config(mode=AuthMode.OPEN, tokens=TOKENS, rooms=ROOMS),
}


@attrs.frozen
class Answer:
    """What came back: the status, and the body as JSON if it is that."""

    status: int
    body: bytes

    def json(self) -> Any:
        return orjson.loads(self.body)


@attrs.define(eq=False)
class World:
    """A running network with people in it. `number` makes names that nobody has used."""

    app: App
    mode: str
    tokens: dict[str, str] = attrs.field(repr=False)
    asgi: NetworkAsgi
    number: int = attrs.field(init=False, default=0)

    @property
    def operator(self) -> Claims:
        """Who prepares things."""
        return UNCHECKED if self.mode == "none" else OPERATOR

    def fresh(self, word: str) -> str:
        self.number += 1
        return f"{word}-{self.number}"

    def headers(self, caller: str) -> dict[str, str]:
        presented = self.tokens.get(caller)
        return {} if presented is None else {"Authorization": f"Bearer {presented}"}

    async def call(self, caller: str, method: str, path: str, body: object = None) -> Answer:
        """One request of a caller, past sockets and Hypercorn but through everything else."""
        with trio.fail_after(30):
            async with open_exchange(self.asgi, method, path, body, headers=self.headers(caller)) as exchange:
                status = await exchange.receive_status()
                chunks = [chunk async for chunk in _chunks(exchange.receive_chunk)]
        return Answer(status, b"".join(chunks))


async def _chunks(receive: Any) -> AsyncIterator[bytes]:
    while chunk := await receive():
        yield chunk


@asynccontextmanager
async def open_world(mode: str, store: Store | None = None) -> AsyncIterator[World]:
    """A new network in this mode, on a store that is empty."""
    config = attrs.evolve(MODES[mode], pairings=(PairingSettings("link", "https://b.test", "net_b"),))
    async with open_test_app(config, store=store) as app:
        world = World(app, mode, await _enrol(app, mode), NetworkAsgi(app))
        await _talk(world)
        yield world


async def _enrol(app: App, mode: str) -> dict[str, str]:
    """Register the agents; returns what each caller presents."""
    if mode == "none":
        for agent_id in ("alpha", "beta", "gamma"):
            await claim_agent(app.context, AgentId(agent_id), "", UNCHECKED)
        return {}
    tokens = {each.id: secret_of(each.id) for each in TOKENS}
    for agent_id in ("alpha", "gamma", "removed", "revoked"):
        registration, _ = await claim_agent(app.context, AgentId(agent_id), "", ANONYMOUS)
        tokens[agent_id] = registration.agent_token
    await remove_agent(app.context, "removed")
    await replace_token(app.context, "revoked", OPERATOR)
    return {**tokens, "bad token": secret_of("nobody")}


async def _talk(world: World) -> None:
    for message in conversation():
        message_id = message.parts[0].text.replace(" ", "-")
        await post(world.app, attrs.evolve(message, id=message_id), world.operator)


def conversation() -> tuple[SendMessageRequest, ...]:
    """Something to read everywhere, with a thread in the private room and a file in each conversation."""
    file = Part(kind=PartKind.FILE, url="https://files.test/log.txt", filename="log.txt")
    messages = (
        room_message("in the cellar", room="cellar"),
        room_message("in the hall", room="hall"),
        thread_message("deep", "in a thread", room="cellar"),
        direct_message("ab", "alpha", "beta", text="between us"),
    )
    return tuple(attrs.evolve(message, parts=(*message.parts, file)) for message in messages)
