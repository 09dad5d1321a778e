"""Two paired networks, each of two servers on one PostgreSQL: the one that relays is killed, and the other one goes on.

Within one process, and step by step, it is in `tests/pairing/test_two_servers.py`.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs
import orjson
import pytest
import trio

from moltnet.storage.sql.postgres.store import open_postgres
from tests.e2e.paired_networks import Network, all_settled, assert_all_is_everywhere, open_networks
from tests.e2e.replicas import Replica, wait_for
from tests.e2e.running import POLL_SECONDS, Server
from tests.fakes.network import room_message
from tests.fakes.ports import free_port
from tests.fakes.postgres import PostgresServer
from tests.storage.crashes import messages_in, whole_log

IDS: Final = ("one", "two")
MESSAGES: Final = 30
# The lease of the dead one, and some patience with a busy machine.
TAKEOVER_SECONDS: Final = 60.0
_RELAYED: Final = re.compile(r'^moltnet_relay_total\{result="success"\} (\S+)$', re.MULTILINE)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def second_server(network: Network) -> Network:
    """Another server of the same network, on the same database, whom nobody but its own callers asks."""
    first = network.replica.server
    config = orjson.loads((first.directory / "Moltnet").read_bytes())
    port = free_port()
    config["server"]["listen_addr"] = f"127.0.0.1:{port}"
    place = first.directory.with_name(f"{network.id}-second")
    place.mkdir()
    path = place / "Moltnet"
    path.touch(mode=0o600)
    path.write_bytes(orjson.dumps(config))
    server = Server(place, f"http://127.0.0.1:{port}", first.environment)
    return attrs.evolve(network, replica=Replica(server), accepted=network.accepted)


async def relayed(network: Network) -> float:
    """How many messages this server has sent to the other network in this life."""
    answer = await network.client.get("/metrics")
    assert answer.status == 200, answer.body
    found = _RELAYED.search(answer.body.decode())
    return float(found[1]) if found else 0.0


async def who_relays(servers: Sequence[Network]) -> Network:
    """Of the servers of one network, the one that has sent something."""
    (owner,) = [server for server in servers if await relayed(server)]
    return owner


async def live(network: Network, end: trio.Event, *, task_status: trio.TaskStatus[None]) -> None:
    """Run one server, and kill it at its end."""
    async with network.replica.server.run() as program:
        network.replica.is_up = True
        task_status.started()
        await end.wait()
        network.replica.is_up = False
        await program.kill()


async def test_the_server_that_relays_is_killed_and_the_other_goes_on_where_it_was(
    postgres_server: PostgresServer, tmp_path: Path
) -> None:
    dsns = {each: postgres_server.dsn_of_new_schema() for each in IDS}
    environments = {each: {"MOLTNET_POSTGRES_DSN": dsn, "MOLTNET_SQLITE_PATH": ""} for each, dsn in dsns.items()}
    firsts = open_networks(tmp_path, *IDS, seed=17, environments=environments)
    one = (firsts[0], second_server(firsts[0]))
    servers = (*one, firsts[1], second_server(firsts[1]))
    ends = {server.replica.server.url: trio.Event() for server in servers}
    async with trio.open_nursery() as nursery:
        for server in servers:
            await nursery.start(live, server, ends[server.replica.server.url])
        for network in firsts:
            nursery.start_soon(network.keep_talking, "first")
            network.allowed = MESSAGES
        await all_settled(firsts)
        owner = await who_relays(one)
        (heir,) = [each for each in one if each is not owner]
        for network in firsts:
            network.allowed += MESSAGES
        before = len(firsts[0].accepted)
        await wait_for(lambda: len(firsts[0].accepted) > before)
        ends[owner.replica.server.url].set()
        for number in range(MESSAGES):
            await heir.say(room_message(f"meanwhile {number}", message_id=f"one-meanwhile-{number}"))
        with trio.fail_after(TAKEOVER_SECONDS):
            while (await heir.queues())[0]["waiting"]:
                await trio.sleep(POLL_SECONDS)
        assert await relayed(heir) >= MESSAGES
        # It comes back, because it may be the one that the other network asks, and relays nothing.
        await nursery.start(live, owner, trio.Event())
        await all_settled(firsts, TAKEOVER_SECONDS)
        assert await relayed(owner) == 0
        assert await assert_all_is_everywhere(firsts) == sum(len(network.accepted) for network in firsts)
        nursery.cancel_scope.cancel()
    for network in firsts:
        async with open_postgres(dsns[network.id], network.id) as store:  # type: ignore[arg-type]  # a NewType
            await store.wait_changed()  # it listens: no connection is being made when the block is left
            stored = messages_in(await whole_log(store))
        assert sorted(stored) == sorted(message.id for each in firsts for message in each.accepted)
