"""Three paired networks as programs of their own, one of which is away for a while: rooms, threads, mentions, DMs.

`MOLTNET_RELAY_DOWN_SECONDS` says for how long; minutes show what the pauses between tries do.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest
import trio

from tests.e2e.killed_server import messages
from tests.e2e.paired_networks import Network, all_settled, assert_all_is_everywhere, open_networks, serving
from tests.e2e.replicas import wait_for
from tests.e2e.running import POLL_SECONDS

DOWN_SECONDS: Final = float(os.environ.get("MOLTNET_RELAY_DOWN_SECONDS", "2"))
# A network that was away is asked again at least once a minute.
BACK_SECONDS: Final = 90.0
MESSAGES: Final = 25

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300 + DOWN_SECONDS)]


async def waiting(network: Network) -> dict[str, int]:
    return {queue["pairing_id"]: queue["waiting"] for queue in await network.queues()}


async def pairings(network: Network) -> dict[str, str]:
    answer = await network.client.get("/v1/pairings")
    found: Sequence[dict[str, Any]] = answer.json()["pairings"]
    return {each["id"]: each["status"] for each in found}


async def test_three_networks_have_everything_once_and_in_order_although_one_is_away(tmp_path: Path) -> None:
    one, two, three = networks = open_networks(tmp_path, "one", "two", "three", seed=8)
    async with serving(one), serving(three), trio.open_nursery() as nursery:
        async with serving(two):
            for network in networks:
                nursery.start_soon(network.keep_talking, "s")
                network.allowed = MESSAGES
            await all_settled(networks)
            assert await pairings(one) == {"to_three": "connected", "to_two": "connected"}
        # One of them is away: the others go on with each other, and keep what it has missed.
        for network in (one, three):
            network.allowed += MESSAGES
        await wait_for(lambda: all(len(each.accepted) == each.allowed for each in (one, three)))
        with trio.fail_after(BACK_SECONDS):
            while (await waiting(one))["to_three"] or (await waiting(three))["to_one"]:
                await trio.sleep(POLL_SECONDS)
            while (await pairings(one))["to_two"] != "error":
                await trio.sleep(POLL_SECONDS)
        await trio.sleep(DOWN_SECONDS)
        assert (await waiting(one))["to_two"] > 0
        assert (await pairings(one))["to_three"] == "connected"
        async with serving(two):
            two.allowed += MESSAGES
            await all_settled(networks, BACK_SECONDS)
            compared = await assert_all_is_everywhere(networks)
            assert await pairings(one) == {"to_three": "connected", "to_two": "connected"}
            # One hop: each network has each message from where it was said, and from nobody else.
            said = {message.id for each in networks for message in each.accepted if message.target.kind == "room"}
            for network in networks:
                found = await messages(network.client, "room", "general")
                assert {message["id"] for message in found} == said
                assert len(found) == len(said)
            print(f"{compared} messages compared, {DOWN_SECONDS:g} seconds away")
        nursery.cancel_scope.cancel()
