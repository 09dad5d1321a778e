"""Networks that are paired with each other, each a program of its own: their files, who talks in them, who kills them.

In `general` of each, and in threads and direct conversations that they share, `alpha` of every network talks. What one
has accepted must be there in the others, once, and in the order in which it came to its own network.
"""

import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import product
from pathlib import Path
from typing import Any, Final

import attrs
import orjson
import trio

from moltnet.protocol.messages import SendMessageRequest
from tests.e2e.killed_server import CUT, conversation_of, messages
from tests.e2e.replicas import Replica, wait_for
from tests.e2e.running import PATIENCE_SECONDS, POLL_SECONDS, Server
from tests.fakes.http_client import HttpClient
from tests.fakes.network import direct_message, room_message, secret_of, thread_message
from tests.fakes.ports import free_port

OPS: Final = "ops"
CONVERSATIONS_OF_A_KIND: Final = 3


@attrs.define(eq=False)
class Network:
    """One of them. ``accepted`` are the messages that it has answered; ``allowed`` is how many are to be said."""

    id: str
    partners: Sequence[str]
    replica: Replica
    chance: random.Random
    accepted: list[SendMessageRequest] = attrs.field(factory=list)
    allowed: int = 0
    _number: int = 0

    @property
    def client(self) -> HttpClient:
        return self.replica.client(OPS)

    async def keep_talking(self, sender: str) -> None:
        """Send as much as is allowed, one message after the other; each until it has been answered."""
        while True:
            await wait_for(lambda: self._number < self.allowed, float("inf"))
            self._number += 1
            await self.say(self._next(f"{self.id}-{sender}-{self._number}"))

    async def say(self, message: SendMessageRequest) -> None:
        while True:
            try:
                answer = await self.client.post("/v1/messages", message)
                assert answer.status == 202, answer.body
                self.accepted.append(message)
                return
            except CUT:
                await wait_for(lambda: self.replica.is_up)

    def _next(self, message_id: str) -> SendMessageRequest:
        partner, which = self.chance.choice(self.partners), self.chance.randrange(CONVERSATIONS_OF_A_KIND)
        match self.chance.randrange(3):
            case 0:
                return room_message(f"in the room @{partner}:beta {message_id}", message_id=message_id)
            case 1:
                return thread_message(f"t-{which}", f"in a thread {message_id}", message_id=message_id)
            case _:
                pair = "-".join(sorted((self.id, partner)))
                return direct_message(f"d-{pair}-{which}", "alpha", f"{partner}:alpha", message_id=message_id)

    async def queues(self) -> Sequence[Mapping[str, Any]]:
        answer = await self.client.get("/v1/outbox")
        assert answer.status == 200, answer.body
        found: Sequence[Mapping[str, Any]] = answer.json()["queues"]
        return found

    async def settled(self) -> None:
        """Until nothing waits any more for a partner. Nothing may have been refused."""
        queues = await self.queues()
        while any(queue["waiting"] for queue in queues):
            await trio.sleep(POLL_SECONDS)
            queues = await self.queues()
        assert [queue["dead_letters"] for queue in queues] == [0] * len(self.partners)


def open_networks(
    directory: Path, *ids: str, seed: int, environments: Mapping[str, Mapping[str, str]] | None = None
) -> list[Network]:
    """Write the files of networks that are all paired with each other; none runs yet."""
    ports = {each: free_port() for each in ids}
    networks = []
    for own in ids:
        place = directory / own
        place.mkdir(parents=True)
        path = place / "Moltnet"
        path.touch(mode=0o600)
        path.write_bytes(orjson.dumps(_file(own, ports)))
        server = Server(place, f"http://127.0.0.1:{ports[own]}", (environments or {}).get(own, {}))
        partners = [each for each in ids if each != own]
        networks.append(Network(own, partners, Replica(server), random.Random(f"{seed} {own}")))
    return networks


def _file(own: str, ports: Mapping[str, int]) -> Mapping[str, object]:
    partners = [each for each in ports if each != own]
    everybody = [*("alpha", "beta"), *(f"{each}:{name}" for each, name in product(partners, ("alpha", "beta")))]
    return {
        "version": "moltnet.v1",
        "network": {"id": own, "name": own.title()},
        "server": {
            "listen_addr": f"127.0.0.1:{ports[own]}",
            "limits": {"requests_per_credential": "unlimited", "messages_per_credential": "unlimited"},
        },
        "auth": {
            "mode": "bearer",
            "tokens": [
                {"id": OPS, "value": secret_of(OPS), "scopes": ["observe", "write", "admin"]},
                *(
                    {"id": f"of-{each}", "value": secret_of(f"{each}-to-{own}"), "scopes": ["pair"], "network": each}
                    for each in partners
                ),
            ],
        },
        "storage": {"kind": "sqlite", "sqlite": {"path": "data/moltnet.db"}},
        "rooms": [{"id": "general", "name": "General", "members": everybody}],
        "pairings": [
            {
                "id": f"to_{each}",
                "remote_network_id": each,
                "remote_base_url": f"http://127.0.0.1:{ports[each]}",
                "token": secret_of(f"{own}-to-{each}"),
            }
            for each in partners
        ],
    }


async def assert_all_is_everywhere(networks: Sequence[Network]) -> int:
    """Each conversation of each network holds what was accepted anywhere for it, once, and in its order.

    Tells how many messages were compared.
    """
    compared = 0
    for origin in networks:
        sent: dict[str, set[str]] = {}
        for message in origin.accepted:
            sent.setdefault(conversation_of(attrs.asdict(message.target)), set()).add(message.id)
        for conversation, message_ids in sent.items():
            at_home = await _of(origin, conversation, origin.id)
            assert len(at_home) == len(message_ids), "accepted once, stored once"
            assert {message["id"] for message in at_home} == message_ids
            for other in networks:
                if other is origin or not _is_for(conversation, other):
                    continue
                there = await _of(other, conversation, origin.id)
                assert [message["id"] for message in there] == [message["id"] for message in at_home]
                for here, arrived in zip(at_home, there, strict=True):
                    assert arrived["network_id"] == other.id
                    for same in ("origin", "parts", "from"):
                        assert arrived[same] == here[same]
                    assert arrived.get("mentions") == here.get("mentions")
                compared += len(there)
    return compared


def _is_for(conversation: str, network: Network) -> bool:
    return not conversation.startswith("dm:") or network.id in conversation.split("-")


async def _of(network: Network, conversation: str, origin: str) -> list[dict[str, Any]]:
    kind, _, id = conversation.partition(":")
    found = await messages(network.client, kind, id)
    assert len(found) == len({message["id"] for message in found})
    return [message for message in found if message["origin"]["network_id"] == origin]


async def all_settled(networks: Sequence[Network], seconds: float = PATIENCE_SECONDS) -> None:
    """Until everything that was allowed has been said, and nothing waits anywhere."""
    with trio.fail_after(seconds):
        for network in networks:
            await wait_for(lambda network=network: len(network.accepted) >= network.allowed, seconds)  # type: ignore[misc]
            await network.settled()


@asynccontextmanager
async def serving(network: Network) -> AsyncIterator[None]:
    """Let it run until the block is left; then it stops politely. It can be started again."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(network.replica.keep_running)
        await wait_for(lambda: network.replica.is_up)
        yield
        network.replica.is_up = False
        assert await network.replica.stop() == 0
        nursery.cancel_scope.cancel()
