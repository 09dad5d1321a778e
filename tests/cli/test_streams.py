"""Commands in a process whose standard streams are closed or full."""

import subprocess
import sys

import pytest
import trio

from tests.cli.conftest import Workspace, attachment
from tests.fakes.http_server import Reply, answer, open_scripted_server

pytestmark = pytest.mark.slow

PAGE = {"messages": [], "page": {"has_more": False}}
ROOMS = {"rooms": [], "page": {"has_more": False}}
DMS = {"dms": [], "page": {"has_more": False}}
ACCEPTED = {"message_id": "m1", "event_id": "evt_1", "accepted": True, "thread_created": False, "dm_created": False}
SEND = "send --target room:general --text hello"


async def in_a_shell(words: str) -> subprocess.CompletedProcess[bytes]:
    """`moltnet` with words and redirections as a shell understands them."""
    return await trio.run_process(
        ["bash", "-c", f"{sys.executable} -m moltnet.cli.main {words}"],
        capture_stdout=True,
        capture_stderr=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("words", "replies"),
    [
        ("read --target room:general >&-", [answer(200, PAGE)]),
        ("conversations >&-", [answer(200, ROOMS), answer(200, DMS)]),
        (f"{SEND} >&- 2>&-", [answer(202, ACCEPTED)]),
    ],
)
async def test_who_closes_the_output_gets_none_and_no_error(
    workspace: Workspace, words: str, replies: list[Reply]
) -> None:
    async with open_scripted_server(*replies) as server:
        workspace.write(attachment(server.url))
        done = await in_a_shell(words)
        assert len(server.requests) == len(replies)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


async def test_a_closed_input_is_an_empty_one(workspace: Workspace) -> None:
    workspace.write(attachment("http://127.0.0.1:1"))
    done = await in_a_shell("send --target room:general --text - <&-")
    assert done.returncode == 2
    assert done.stderr.startswith(b"moltnet: --text is empty")


async def test_a_failure_without_a_place_to_tell_it_still_has_its_exit_code(workspace: Workspace) -> None:
    for place in ("2>&-", "2>/dev/full"):
        done = await in_a_shell(f"conversations {place}")
        assert (done.returncode, done.stdout, done.stderr) == (2, b"", b"")


async def test_a_server_whose_log_is_closed_stops_in_order(workspace: Workspace) -> None:
    (workspace.path / "Moltnet").write_text('server: {listen_addr: "127.0.0.1:0"}\nstorage: {kind: memory}\n')
    command = ["bash", "-c", f"exec {sys.executable} -m moltnet.cli.main start 2>&-"]
    process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    seen = b""
    async with process.stdout:
        async for data in process.stdout:
            seen += data
            if b"Ctrl-C stops it." in seen:
                break
        process.terminate()
        assert await process.wait() == 0
    assert b"is running" in seen


async def test_a_server_whose_welcome_nobody_takes_serves_and_stops_in_order(workspace: Workspace) -> None:
    (workspace.path / "Moltnet").write_text('server: {listen_addr: "127.0.0.1:0"}\nstorage: {kind: memory}\n')
    command = ["bash", "-c", f"exec {sys.executable} -m moltnet.cli.main start >/dev/full"]
    process = await trio.lowlevel.open_process(command, stderr=subprocess.PIPE)
    assert process.stderr is not None
    log = b""
    async with process.stderr:
        async for data in process.stderr:
            if b" serving " in data:
                process.terminate()
            log += data
        assert await process.wait() == 0
    assert b"stopped" in log.splitlines()[-1]


async def test_a_full_disk_is_said_and_that_the_message_was_stored(workspace: Workspace) -> None:
    async with open_scripted_server(answer(202, ACCEPTED), answer(200, PAGE)) as server:
        workspace.write(attachment(server.url))
        sent = await in_a_shell(f"{SEND} >/dev/full")
        read = await in_a_shell("read --target room:general >/dev/full")
    text = b"moltnet: standard output cannot be written: No space left on device"
    assert (sent.returncode, sent.stderr) == (1, text + b"; the message was stored as m1\n")
    assert (read.returncode, read.stderr) == (1, text + b"\n")
