"""What an operator of an open network does about an id in the wrong hands, or in none: lost, stolen, squatted, flooded.

With real processes, the guide's files, and the operator's own commands.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from trio_websocket import HandshakeError

from tests.e2e.open_network import (
    OpenNetwork,
    json_of,
    no_token_was_written,
    open_network_of_the_guide,
    said,
)
from tests.fakes.attach_client import AttachClient, Wire, attach, identify_frame, open_websocket_wire, read_until_closed

pytestmark = pytest.mark.slow


@pytest.fixture
def network(tmp_path: Path, postgres_dsn: str) -> Iterator[OpenNetwork]:
    network = open_network_of_the_guide(tmp_path / "noopolis", postgres_dsn)
    yield network
    no_token_was_written(network)


async def come_as(wire: Wire, agent_id: str) -> AttachClient:
    return await attach(wire, agent_id, network="noopolis")


def holding(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def refusal(network: OpenNetwork, agent_id: str, token: str = "") -> str:
    """Why an attachment is refused."""
    headers = holding(token) if token else {}
    try:
        async with open_websocket_wire(network.server.url, headers=headers) as wire:
            await wire.send(identify_frame(agent_id, network="noopolis"))
            frames, closed = await read_until_closed(wire)
            assert closed.code == 1008
            return str(frames[-1]["error"])
    except HandshakeError as error:
        return f"upgrade: {error}"


class TestLostTokens:
    async def test_a_node_that_lost_a_file_is_parked_and_goes_on_with_the_token_that_was_reset(
        self, network: OpenNetwork
    ) -> None:
        async with network.server.run():
            async with network.node() as node:
                await node.wait_log("attached", 2)
                assert await node.stop() == 0
            members = {"add": ["luna"]}
            await network.ask("PATCH", "/v1/rooms/backoffice/members", members, token=network.admin_token)
            lost = network.token("luna")
            network.token_file("luna").unlink()
            async with network.node(log="lost.log") as node:
                await node.wait_log("parked")
                await node.wait_log("attached")  # atlas still has its own
                assert "needs its own token" in node.log()
                assert not network.token_file("luna").exists()
                assert await node.stop() == 0
            reset = await network.run("admin", "agent", "reset-token", "luna", "--to", network.token_file("luna"))
            assert json_of(reset)["agent_id"] == "luna"
            assert network.token("luna") not in (lost, reset.stdout)
            assert network.token_file("luna").stat().st_mode & 0o777 == 0o600
            async with network.node(log="found.log") as node:
                await node.wait_log("attached", 2)
                assert await node.stop() == 0
            assert (await network.say("luna", "with the old one", lost)).status == 401
            # It is the same agent: still a member of a private room.
            assert (await network.say("luna", "back again", network.token("luna"), "backoffice")).status == 202

    async def test_an_agent_that_was_removed_is_claimed_again_by_its_node(self, network: OpenNetwork) -> None:
        async with network.server.run():
            async with network.node() as node:
                await node.wait_log("attached", 2)
                assert await node.stop() == 0
            before = network.token("luna")
            assert (await network.say("luna", "before", before)).status == 202
            network.token_file("luna").unlink()
            removed = await network.run("admin", "agent", "remove", "luna")
            assert json_of(removed)["removed"] is True
            async with network.node(log="again.log") as node:
                await node.wait_log("attached", 2)
                assert await node.stop() == 0
            assert network.token("luna") != before
            assert (await network.say("luna", "after", before)).status == 401
            assert (await network.say("luna", "after", network.token("luna"))).status == 202
            assert await network.texts() == [("luna", "before"), ("luna", "after")]

    async def test_an_answer_that_never_arrived_leaves_an_id_that_can_be_reset(self, network: OpenNetwork) -> None:
        async with network.server.run():
            async with open_websocket_wire(network.server.url) as wire:
                await wire.receive()
                await wire.send(identify_frame("luna", network="noopolis"))
                await wire.hang_up(1006)  # whatever the server answers, nobody reads it
            with trio.fail_after(30):
                while await network.agent_ids() != ["luna"]:
                    await trio.sleep(0.02)
            assert "needs its own token" in await refusal(network, "luna")
            reset = json_of(await network.run("admin", "agent", "reset-token", "luna"))
            async with open_websocket_wire(network.server.url, headers=holding(reset["agent_token"])) as wire:
                assert (await come_as(wire, "luna")).ready.agent_id == "luna"

    async def test_only_who_administers_resets_removes_and_revokes(self, network: OpenNetwork) -> None:
        async with network.server.run():
            luna, vega = await network.claim("luna"), await network.claim("vega")
            for command in ("reset-token", "remove", "revoke-token"):
                for other in (vega, network.pair_token):
                    tried = await network.run("admin", "agent", command, "luna", MOLTNET_ADMIN_TOKEN=other)
                    assert tried.returncode == 3
                    assert other not in tried.stderr
            assert (await network.say("luna", "unharmed", luna)).status == 202


class TestSquatters:
    async def test_an_id_is_taken_back_by_reserving_and_removing_it(self, network: OpenNetwork) -> None:
        async with network.server.run(), open_websocket_wire(network.server.url) as wire:
            squatter = await come_as(wire, "noopolis-news")
            token = squatter.ready.agent_token
            network.edit("Moltnet", ("[noopolis, admin,", '[noopolis, "noopolis-*", admin,'))
            assert (await network.run("reload")).returncode == 0
            # Reserving alone takes nothing from anybody.
            assert (await network.say("noopolis-news", "fake news", token)).status == 202
            assert json_of(await network.run("admin", "agent", "remove", "noopolis-news"))["removed"] is True
            assert (await squatter.wait_closed()).code == 1008
            assert "the operator keeps the name" in await refusal(network, "noopolis-news")
            body = {"requested_agent_id": "Noopolis-News"}
            answer = await network.ask("POST", "/v1/agents/register", body)
            assert (answer.status, answer.code) == (403, "agent_reserved")
            made = await network.ask("POST", "/v1/agents/register", body, token=network.admin_token)
            assert made.status == 201

    async def test_an_id_is_taken_over_at_once_by_resetting_its_token(self, network: OpenNetwork) -> None:
        async with network.server.run(), open_websocket_wire(network.server.url) as wire:
            squatter = await come_as(wire, "luna")
            ours = network.token_file("luna")
            reset = await network.run("admin", "agent", "reset-token", "luna", "--to", ours)
            assert reset.returncode == 0, reset.stderr
            assert (await squatter.wait_closed()).code == 1008
            assert (await network.say("luna", "still me", squatter.ready.agent_token)).status == 401
            async with network.node() as node:
                await node.wait_log("attached", 2)
                assert await node.stop() == 0

    @pytest.mark.parametrize("wanted", ["noopolis", "NOOPOLIS", "Admin", "operator", "operator-7"])
    async def test_reserved_names_are_nobodys_in_any_spelling(self, network: OpenNetwork, wanted: str) -> None:
        async with network.server.run():
            vega = await network.claim("vega")
            assert "the operator keeps the name" in await refusal(network, wanted)
            for token in ("", vega):
                asked = await network.ask("POST", "/v1/agents/register", {"requested_agent_id": wanted}, token=token)
                assert asked.status == 403
            named = await network.ask("POST", "/v1/agents/register", {"name": wanted})
            made = named.json().get("agent_id", "")
            assert named.status in (201, 403)
            assert made.lower() not in ("noopolis", "admin")
            assert not made.startswith("operator")

    async def test_one_address_cannot_claim_all_ids_and_what_it_has_can_be_listed_and_removed(
        self, network: OpenNetwork
    ) -> None:
        limits = "  limits:\n    registrations_per_address: 3/h\n"
        network.edit("Moltnet", ("  human_ingress: false\n", f"  human_ingress: false\n{limits}"))
        async with network.server.run():
            squatter, visitor = {"X_Forwarded_For": "203.0.113.7"}, {"X_Forwarded_For": "203.0.113.8"}
            for number in range(3):
                body = {"requested_agent_id": f"squat-{number}"}
                assert (await network.ask("POST", "/v1/agents/register", body, **squatter)).status == 201
            body = {"requested_agent_id": "squat-3"}
            over = await network.ask("POST", "/v1/agents/register", body, **squatter)
            assert (over.status, over.code) == (429, "rate_limited")
            assert 0 < int(over.headers["retry-after"]) <= 1200
            # By attaching it is the same count.
            headers = {"X-Forwarded-For": "203.0.113.7"}
            async with open_websocket_wire(network.server.url, headers=headers) as wire:
                await wire.send(identify_frame("squat-4", network="noopolis"))
                frames, closed = await read_until_closed(wire)
                assert (frames[-1]["op"], closed.code) == ("ERROR", 1013)
            assert (
                await network.ask("POST", "/v1/agents/register", {"requested_agent_id": "honest"}, **visitor)
            ).status == 201
            listed = json_of(await network.run("admin", "agent", "list"))["credentials"]
            assert [each["agent_id"] for each in listed] == ["honest", "squat-0", "squat-1", "squat-2"]
            for number in range(3):
                assert (await network.run("admin", "agent", "remove", f"squat-{number}")).returncode == 0
            assert await network.agent_ids() == ["honest"]


class TestThieves:
    async def test_a_stolen_token_is_revoked_and_its_connections_end(self, network: OpenNetwork) -> None:
        async with network.server.run():
            luna = await network.claim("luna")
            async with open_websocket_wire(network.server.url, headers=holding(luna)) as wire:
                thief = await come_as(wire, "luna")
                async with network.stream(luna) as stream:
                    revoked = await network.run("admin", "agent", "revoke-token", "luna")
                    assert json_of(revoked)["holder"] == "nobody"
                    assert (await thief.wait_closed()).code == 1008
                    while (await stream.next_event()) is not None:
                        pass
            assert (await network.say("luna", "it is me", luna)).status == 401
            # The id is not free either: nobody has it until the operator says who.
            body = {"requested_agent_id": "luna"}
            assert (await network.ask("POST", "/v1/agents/register", body)).status == 409
            again = json_of(await network.run("admin", "agent", "reset-token", "luna"))["agent_token"]
            assert (await network.say("luna", "it is me", again)).status == 202


class TestHumans:
    async def test_people_are_let_in_and_kept_out_by_a_switch_that_a_reload_takes_over(
        self, network: OpenNetwork
    ) -> None:
        editor = f"    - id: editor\n      value: {'7d1f0b' * 6}\n      scopes: [write, admin]\n"
        network.edit("Moltnet", ("storage:\n", f"{editor}storage:\n"))
        async with network.server.run():
            vega = await network.claim("vega")

            async def as_human(token: str, human_id: str = "ada") -> str:
                body = {**said("", "people speaking"), "from": {"type": "human", "id": human_id}}
                answer = await network.ask("POST", "/v1/messages", body, token=token)
                return "" if answer.status == 202 else answer.code

            assert await as_human("7d1f0b" * 6) == "human_ingress_disabled"
            network.edit("Moltnet", ("human_ingress: false", "human_ingress: true"))
            assert (await network.run("reload")).returncode == 0
            assert await as_human("7d1f0b" * 6) == ""
            # Agents are no people, nor are strangers and other networks, and a token that reads does not write.
            for token in (vega, "", network.pair_token, network.admin_token):
                assert await as_human(token) in ("missing_scope", "unauthorized")
            network.edit("Moltnet", ("human_ingress: true", "human_ingress: false"))
            assert (await network.run("reload")).returncode == 0
            assert await as_human("7d1f0b" * 6) == "human_ingress_disabled"
            assert (await network.say("vega", "agents go on", vega)).status == 202
