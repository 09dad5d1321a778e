"""What systemd hears of a node: over a real socket, with a real node around it."""

from functools import partial
from pathlib import Path

import trio
from trio.testing import wait_all_tasks_blocked

from node.config import NodeConfig
from node.service import serve_node
from tests.fakes.nodes import node_config
from tests.fakes.systemd import listening


async def test_a_node_says_when_it_is_ready_reloads_and_stops(tmp_path: Path) -> None:
    config = node_config(tmp_path)
    drain = trio.Event()
    hangups, hears = trio.open_memory_channel[None](1)

    def load() -> NodeConfig:
        return config

    with listening(tmp_path / "notify") as heard:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(serve_node, config, load, hears, heard.environ, drain))
            await wait_all_tasks_blocked()
            assert heard.lines() == ["READY=1", "STATUS=0 attachments"]
            hangups.send_nowait(None)
            said: list[str] = []
            with trio.fail_after(10):
                while len(said) < 4:
                    said += heard.lines()
                    await trio.sleep(0.02)
            assert said[0] == "RELOADING=1"
            assert said[1].startswith("MONOTONIC_USEC=")
            assert said[2:] == ["READY=1", "STATUS=0 attachments"]
            drain.set()
        assert heard.lines()[-2:] == ["STOPPING=1", "STATUS=draining"]
