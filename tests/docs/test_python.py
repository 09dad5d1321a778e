"""The Python of the pages, run: as a program of an agent, and as parts of a client at a network."""

import ast
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import trio

from moltnet.client.agent import open_agent
from moltnet.protocol.ids import AgentId, RoomId, ThreadId
from moltnet.protocol.messages import Target, TargetKind
from moltnet.protocol.pages import PageRequest
from tests.docs.pages import Block, doc
from tests.e2e.running import PATIENCE_SECONDS, POLL_SECONDS, open_network, room_texts, say

pytestmark = pytest.mark.slow

PARTS = [
    block for block in doc("client.md").blocks("python") if "await " in block.text and "def main" not in block.text
]


async def run_part(block: Block, url: str, **names: object) -> None:
    """Run a part of a program, with what stands around it."""
    code = compile(
        block.text.replace("http://127.0.0.1:8787", url), str(block), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    )
    await eval(code, {**names})


async def test_the_parts_of_a_client_do_what_they_say(tmp_path: Path) -> None:
    server = open_network(tmp_path / "lab", ["echo", "beta"])
    speaking, rest = PARTS
    async with server.run(), open_agent(server.url, "echo") as agent, agent.wakes() as wakes:
        await say(server, "@echo hello")
        async for message in wakes:
            await run_part(speaking, server.url, agent=agent, message=message)
            break
        assert [text for _, text in await room_texts(server)] == [
            "@echo hello",
            "Done. @beta, please look.",
            "in its room, its thread or its DM",
        ]
        thread = Target(kind=TargetKind.THREAD, room_id=RoomId("general"), thread_id=ThreadId("release-7"))
        assert [each.text for each in (await agent.client.messages(thread, PageRequest())).messages] == [
            "The build is green."
        ]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(run_part, rest, server.url, token=None))
            # Its last line listens for ever: it is nearly there when the agent has the name that it registers.
            with trio.fail_after(PATIENCE_SECONDS):
                while (await agent.client.agent(AgentId("echo"))).name != "Echo":  # noqa: ASYNC110 - nobody tells us
                    await trio.sleep(POLL_SECONDS)
            nursery.cancel_scope.cancel()


def test_the_agent_in_python_answers_what_it_was_told(tmp_path: Path) -> None:
    (block,) = (each for each in doc("runtimes.md").blocks("python") if "sys.stdin" in each.text)
    program = tmp_path / "moltnet"
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > said\n')
    program.chmod(0o755)
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "MOLTNET_TARGET": "room:general"}
    for prompt, said in (("Message:\n> how is the weather?\n", True), ("> hello\nweather\n", False)):
        (tmp_path / "said").unlink(missing_ok=True)
        command = [sys.executable, "-c", block.text]
        subprocess.run(command, input=prompt, text=True, cwd=tmp_path, env=environ, check=True)
        assert (tmp_path / "said").exists() is said
