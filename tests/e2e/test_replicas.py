"""Three servers on one PostgreSQL, which are killed one after the other while everybody talks (design §5).

`make replicas` goes on for as long as you like. What two stores on one database settle, step by step, is in
tests/storage; here are whole programs, and what agents and callers notice.
"""

import os
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import attrs
import pytest
import trio

from moltnet.protocol.ids import event_id_of_message
from moltnet.storage.records import EventRecord
from moltnet.storage.sql.postgres.store import open_postgres
from tests.e2e.replicas import (
    OPS,
    PLAZA,
    REPLICAS,
    ROOMS,
    Agent,
    Replica,
    Replicas,
    comings_and_goings,
    connected_at,
    history_at,
    open_replicas,
    visible_to,
    wait_for,
)
from tests.fakes.attach_client import attach, open_websocket_wire
from tests.fakes.http_client import HttpAnswer
from tests.fakes.network import NETWORK, direct_message, room_message, secret_of
from tests.fakes.postgres import PostgresServer
from tests.storage.crashes import messages_in, whole_log

ATTACHMENTS: Final = int(os.environ.get("MOLTNET_REPLICAS_ATTACHMENTS", "300"))
KILLS: Final = int(os.environ.get("MOLTNET_REPLICAS_KILLS", "3"))
PAUSE_SECONDS: Final = float(os.environ.get("MOLTNET_REPLICAS_PAUSE_SECONDS", "3"))
SECONDS: Final = float(os.environ.get("MOLTNET_REPLICAS_SECONDS", "0"))
POSTS_PER_SECOND: Final = float(os.environ.get("MOLTNET_REPLICAS_POSTS_PER_SECOND", "8"))
SENDERS: Final = 4
# They are at the last server that is killed, and don't come back; as many leave with a goodbye.
GONE: Final = 10
THE_END: Final = "the-end"
# A kill waits until all are up again, which takes a machine without anything else to do a second.
PATIENCE_SECONDS: Final = 120 + SECONDS + KILLS * 4 * PAUSE_SECONDS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(PATIENCE_SECONDS + 120)]


async def test_every_attachment_has_every_event_in_order_whichever_server_is_killed(
    postgres_server: PostgresServer, postgres_database: str, tmp_path: Path
) -> None:
    seed = int(os.environ.get("MOLTNET_REPLICAS_SEED", "0")) or random.randrange(2**32)
    print(f"seed {seed}")
    dsn = postgres_server.dsn(postgres_database)
    replicas = open_replicas(tmp_path, dsn, agents=ATTACHMENTS, senders=SENDERS, seed=seed)
    lost: list[Agent] = []

    with trio.fail_after(PATIENCE_SECONDS):
        async with replicas.running():
            async with replicas.attached():
                async with replicas.sending(POSTS_PER_SECOND):
                    ends_at = trio.current_time() + SECONDS
                    async for dying in replicas.kill_in_turn(KILLS, pause_seconds=PAUSE_SECONDS, until=ends_at):
                        if replicas.kills >= KILLS and trio.current_time() >= ends_at:
                            # The last one takes some agents with it.
                            lost = [agent for agent in replicas.agents if agent.replica is dying][:GONE]
                            for agent in lost:
                                agent.is_leaving = True
                present = [agent for agent in replicas.agents if agent not in lost]
                await wait_for(lambda: all(agent.replica for agent in present))
                await the_dead_are_forgotten(postgres_server, postgres_database)
                the_end = await everybody_has_everything(replicas, present)
                await shown_as_connected(replicas, present)
                histories = await histories_everywhere(replicas)
                for agent in present[:GONE]:
                    agent.leave()
                await shown_as_connected(replicas, present[GONE:])
            assert [await replica.stop() for replica in replicas.members] == [0] * len(replicas.members)
    async with open_postgres(dsn, NETWORK) as store:
        log = await whole_log(store)
    assert [record.seq for record in log] == list(range(1, len(log) + 1))
    for reader in replicas.readers:
        told = list(reader.events)
        assert told == [record.id for record in log[: len(told)]]
        assert the_end in reader.events
    stored = messages_in(log)
    assert len(stored) == len(set(stored))
    accepted = {message.id for sender in replicas.senders for message in sender.accepted}
    assert set(stored) == accepted | {THE_END}
    of_place = {place: [m for m in stored if m in set(told)] for place, told in histories.items()}
    assert histories == of_place
    for agent in replicas.agents:
        expected = visible_to(agent, log)
        assert agent.seen == expected[: len(agent.seen)]
        assert agent in lost or the_end in agent.seen
        told_of = comings_and_goings(agent, log)
        # A server may die after an agent said who it is and before it is told that it is attached. What a server lets
        # go of that is cut off, the others may report as well.
        assert agent.attached <= told_of.disconnected <= agent.identified + agent.cut_off
        assert told_of.connected <= told_of.disconnected
    report(replicas, log)


async def test_what_is_settled_at_one_server_counts_at_all(postgres_dsn: str, tmp_path: Path) -> None:
    rates = {"registrations_per_address": "5/h", "messages_per_credential": "6/h"}
    replicas = open_replicas(tmp_path, postgres_dsn, agents=2, senders=0, seed=0, limits=rates)
    with trio.fail_after(PATIENCE_SECONDS):
        async with replicas.running():
            vega, rigel = await claims_count_together(replicas)
            await one_answer_to_one_message(replicas, vega)
            await one_session_everywhere(replicas)
            await a_revoked_token_ends_everywhere(replicas, "vega", vega)
            await messages_count_together(replicas, rigel)


async def claims_count_together(replicas: Replicas) -> Sequence[str]:
    """Five ids at all servers together; the tokens of the first two, which are good at any server at once."""
    names = ["vega", "rigel", *(f"crowd-{number}" for number in range(10))]
    answers: dict[str, HttpAnswer] = {}

    async def claim(name: str, replica: Replica) -> None:
        answers[name] = await replica.client().post("/v1/agents/register", {"requested_agent_id": name})

    for name in names[:2]:
        await claim(name, replicas.members[0])
    async with trio.open_nursery() as nursery:
        for number, name in enumerate(names[2:]):
            nursery.start_soon(claim, name, replicas.members[number % REPLICAS])
    assert Counter(answer.status for answer in answers.values()) == {201: 5, 429: 7}
    tokens = [str(answers[name].json()["agent_token"]) for name in names[:2]]
    for replica in replicas.members:
        assert [(await replica.client(token).get("/v1/session")).json()["agents"] for token in tokens] == [
            ["vega"],
            ["rigel"],
        ]
    return tokens


async def one_answer_to_one_message(replicas: Replicas, token: str) -> None:
    message = direct_message("d", "rigel", "vega", sender="vega", message_id="once")
    answers = [await replica.client(token).post("/v1/messages", message) for replica in replicas.members]
    assert [answer.status for answer in answers] == [202] * REPLICAS
    assert [answer.json() for answer in answers] == [
        answers[0].json(),
        *[answers[0].json() | {"dm_created": False}] * (REPLICAS - 1),
    ]
    others = attrs.evolve(message, parts=room_message("something else").parts)
    refused = await replicas.members[1].client(token).post("/v1/messages", others)
    assert (refused.status, refused.code) == (409, "message_id_conflict")
    for replica in replicas.members:
        assert await history_at(replica, "dms/d") == ["once"]


async def one_session_everywhere(replicas: Replicas) -> None:
    one, other, _ = replicas.members
    signed_in = await one.client().post("/v1/session", {"token": secret_of(OPS)})
    cookie = signed_in.headers["set-cookie"].partition(";")[0]
    for replica in replicas.members:
        assert (await replica.client().get("/v1/session", Cookie=cookie)).json() == signed_in.json()
    headers = {"Cookie": cookie, "Origin": other.server.url}
    assert (await other.client().request("DELETE", "/v1/session", headers=headers)).status == 200
    for replica in replicas.members:
        with trio.fail_after(20):
            while (await replica.client().get("/v1/session", Cookie=cookie)).json()["signed_in"]:
                await trio.sleep(0.05)


async def a_revoked_token_ends_everywhere(replicas: Replicas, agent_id: str, token: str) -> None:
    async with AsyncExitStack() as opened:
        clients = []
        for replica in replicas.members:
            wire = await opened.enter_async_context(open_websocket_wire(replica.server.url, token))
            clients.append(await attach(wire, agent_id))
        with trio.fail_after(20):
            while await connected_at(replicas.members[1]) != {agent_id}:
                await trio.sleep(0.05)
        assert (await replicas.members[2].client(OPS).delete(f"/v1/agents/{agent_id}/token")).status == 200
        with trio.fail_after(20):
            assert [(await client.wait_closed()).code for client in clients] == [1008] * REPLICAS
    for replica in replicas.members:
        assert (await replica.client(token).get("/v1/rooms")).status == 401


async def messages_count_together(replicas: Replicas, token: str) -> None:
    """A burst at each server at the most, and then nothing at any."""
    accepted = 0
    for replica in replicas.members:
        with trio.fail_after(20):
            while (answer := await say(replica, token, accepted)).status == 202:
                accepted += 1
        assert (answer.status, answer.code) == (429, "rate_limited")
        assert int(answer.headers["retry-after"]) > 60
    assert 6 <= accepted <= 6 * REPLICAS
    assert [(await say(replica, token, accepted)).status for replica in replicas.members] == [429] * REPLICAS


async def say(replica: Replica, token: str, number: int) -> HttpAnswer:
    message = direct_message("d", "rigel", "vega", sender="rigel", message_id=f"more-{number}")
    return await replica.client(token).post("/v1/messages", message)


async def the_dead_are_forgotten(server: PostgresServer, database: str) -> None:
    """Their leases are over, and what they left is reported."""
    with trio.fail_after(30):
        while await sql(server, "SELECT count(*) FROM servers", database) != str(REPLICAS):
            await trio.sleep(0.1)


async def sql(server: PostgresServer, text: str, database: str) -> str:
    return await trio.to_thread.run_sync(server.sql, text, database)


async def everybody_has_everything(replicas: Replicas, present: Sequence[Agent]) -> str:
    """Say a last word in a room where all are, and wait until all have heard it. The id of its event."""
    sender = present[0]
    last = room_message("the end", sender=sender.id, room=PLAZA, message_id=THE_END)
    assert (await replicas.members[0].client(sender.token).post("/v1/messages", last)).status == 202
    event_id = event_id_of_message(THE_END)
    await wait_for(lambda: all(agent.has(event_id) for agent in present))
    await wait_for(lambda: all(event_id in reader.events for reader in replicas.readers))
    return event_id


async def shown_as_connected(replicas: Replicas, expected: Sequence[Agent]) -> None:
    """At all servers, these and nobody else; what others have is known after a beat."""
    agents = frozenset(agent.id for agent in expected)
    with trio.fail_after(20):
        for replica in replicas.members:
            while await connected_at(replica) != agents:
                await trio.sleep(0.1)


async def histories_everywhere(replicas: Replicas) -> Mapping[str, Sequence[str]]:
    """What was said in every room and in a few direct conversations, on which all servers agree."""
    directs = sorted({message.target.dm_id for sender in replicas.senders for message in sender.accepted})
    places = [f"rooms/{PLAZA}", *(f"rooms/room-{number}" for number in range(ROOMS))]
    places += [f"dms/{direct}" for direct in directs if direct][:5]
    histories = {place: await history_at(replicas.members[0], place) for place in places}
    for replica in replicas.members[1:]:
        assert {place: await history_at(replica, place) for place in places} == histories
    return histories


def report(replicas: Replicas, log: Sequence[EventRecord]) -> None:
    agents, senders = replicas.agents, replicas.senders
    told = [comings_and_goings(agent, log) for agent in agents]
    unknown = sum(each.disconnected for each in told) - sum(agent.attached for agent in agents)
    silent = sum(each.disconnected - each.connected for each in told)
    print(
        f"{replicas.kills} kills, {len(log)} events, {sum(len(sender.accepted) for sender in senders)} messages "
        f"({sum(sender.moved for sender in senders)} went on at another server, "
        f"{sum(sender.asked_again for sender in senders)} asked about at another server); "
        f"{len(agents)} attachments attached {sum(agent.attached for agent in agents)} times and were told of "
        f"{sum(len(agent.seen) for agent in agents)} events, {sum(agent.repeated for agent in agents)} of them again; "
        f"{sum(agent.cut_off for agent in agents)} times let go of by a server that was cut off; "
        f"{unknown} handshakes cut after the seat was taken, {silent} comings unreported; "
        f"closed {dict(sum((agent.closed for agent in agents), Counter[int]()))}"
    )
