"""The control socket: who may connect, what is answered, and what hostile or slow callers get."""

import json
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from bridge import limits
from bridge.activity import Activity, Brake, Outcome, PastTurn, WaitingApproval
from bridge.dead_letters import DeadLetters
from bridge.errors import AttachRefused
from bridge.policy import Wake, WakeReason
from bridge.runtimes.runtime import Conversation
from moltnet.config.problems import ConfigError, Problem
from moltnet.protocol.codec import encode
from moltnet.protocol.times import format_timestamp, utc_now
from node.config import NodeConfig
from node.control import Operation, Refusal, Request, serve_control, socket_path
from node.control_client import NoAnswer, NotRunning, ask, find_socket
from node.report import NodeReport
from node.report_text import node_lines
from node.supervisor import Node, run_node
from tests.expected_errors import ExpectedErrors
from tests.fakes.messages import created, message
from tests.fakes.nodes import Children, node_config

STATUS = Request(Operation.STATUS)


@asynccontextmanager
async def controlled(config: NodeConfig, children: Children | None = None) -> AsyncIterator[tuple[Node, Path]]:
    """A node with its control socket."""
    drain = trio.Event()
    children = children or Children()
    async with trio.open_nursery() as around:
        async with trio.open_nursery() as nursery:
            start = partial(run_node, config, drain=drain, environ={}, run_attachment=children.run, load=lambda: config)
            node: Node = await nursery.start(start)
            await around.start(serve_control, node, node.reload)
            await wait_all_tasks_blocked()
            yield node, socket_path(config.state_path, config.source)
            drain.set()
        around.cancel_scope.cancel()


async def test_the_socket_is_ours_alone_and_goes_with_the_node(tmp_path: Path) -> None:
    async with controlled(node_config(tmp_path, "alpha")) as (_, path):
        assert path == tmp_path / "state" / ".moltnetnode.sock"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert (await ask(path, STATUS)).status is not None
    assert not path.exists()
    with pytest.raises(NotRunning):
        await ask(path, STATUS)


async def test_the_status_shows_connections_queues_brakes_and_turns(
    tmp_path: Path, expected_errors: ExpectedErrors
) -> None:
    children = Children()
    children.fail("parked", AttachRefused("refused: token=abc123 is unknown"))
    async with controlled(node_config(tmp_path, "alpha", "parked"), children) as (node, path):
        status = node.statuses["alpha"]
        status.cursor, status.waiting_wakes, status.finished_turns = "evt_1", 3, 1
        status.activities["net:room:general"] = held = Activity("net:room:general")
        held.messages = 2
        held.hold(Brake.BUDGET, 600)
        status.activities["net:room:other"] = running = Activity("net:room:other")
        running.messages, status.running_turns = 1, 1
        running.run()
        turn = PastTurn("net:room:other", 2, trio.current_time() - 60, 1.5, Outcome.FAILED, "exit code 3: \x1b[2J")
        status.past_turns.append(turn)
        report = (await ask(path, STATUS)).status
        assert report is not None
        alpha, parked = report.attachments
        assert (alpha.agent_id, alpha.state, alpha.cursor) == ("alpha", "attached", "evt_1")
        assert [(each.work, each.held_by, each.messages) for each in alpha.conversations] == [
            ("running", "", 1),
            ("held", "turns_per_hour", 2),
        ]
        assert alpha.conversations[1].until > report.reported_at > alpha.last_turns[0].ended_at
        assert (alpha.last_turns[0].outcome, alpha.last_turns[0].seconds) == ("failed", 1.5)
        assert parked.parked_reason == parked.last_error == "refused: token=*** is unknown"
        assert parked.retry_at > report.reported_at
        text = "\n".join(node_lines(report))
        assert "held by turns_per_hour for 0 s, goes on in 10 min: net:room:general, 2 messages" in text
        assert "parked (net, command): parked for 0 s, tried again in 5 min\n  reason: refused: token=***" in text
        assert "failed after 1.5 s, net:room:other: exit code 3" in text
        assert "\x1b" not in text
    expected_errors.take("parked")


async def test_the_status_shows_what_waits_for_approval(tmp_path: Path) -> None:
    async with controlled(node_config(tmp_path, "alpha")) as (node, path):
        status = node.statuses["alpha"]
        assert "approval" not in "\n".join(node_lines(await told(path)))
        for number in range(7):
            waiting = WaitingApproval(f"evt_{number}", "net:room:general", "molt://net/agents/\x1b[2J", "mention")
            status.approvals[waiting.event_id] = waiting
        status.approvals["evt_0"].approval_id = "apr_1"
        status.approvals["evt_0"].expires_at = format_timestamp(utc_now() + timedelta(minutes=10, seconds=30))
        status.refused_wakes, status.approvals_problem = 1, "refused: token=abc123 is unknown"
        report = await told(path)
        (alpha,) = report.attachments
        assert (alpha.waiting_approvals, alpha.refused_messages, len(alpha.approvals)) == (7, 1, 7)
        assert (alpha.approvals[0].approval_id, alpha.approvals[1].approval_id) == ("apr_1", "")
        text = "\n".join(node_lines(report))
        assert "waiting for approval: 7 messages; the server can't be asked: refused: token=*** is unknown" in text
        assert "apr_1, expires in 10 min: net:room:general from molt://net/agents/\N{REPLACEMENT CHARACTER}[2J" in text
        assert "not asked yet: net:room:general" in text
        assert "and 2 more" in text
        assert "denied, or not approved in time: 1 message" in text
        assert "\x1b" not in text


async def told(path: Path) -> NodeReport:
    report = (await ask(path, STATUS)).status
    assert report is not None
    return report


async def test_a_node_that_drains_still_answers_and_says_so(tmp_path: Path) -> None:
    held = trio.Event()

    class Slow(Children):
        async def run(self, config: object, **given: object) -> None:
            with trio.CancelScope(shield=True):
                await held.wait()

    async with controlled(node_config(tmp_path, "alpha"), Slow()) as (node, path):
        node.drain.set()
        await wait_all_tasks_blocked()
        report = (await ask(path, STATUS)).status
        assert report is not None
        assert report.stopping
        held.set()


@pytest.mark.parametrize(
    "sent",
    [b"", b"{}\n", b"not json\n", b'{"operation":"format the disk"}\n', b"\xff\n", b'{"operation":7}\n', b"no end"],
)
async def test_what_is_no_request_is_refused_and_harms_nothing(sent: bytes, tmp_path: Path) -> None:
    async with controlled(node_config(tmp_path, "alpha")) as (_, path):
        stream = await trio.open_unix_socket(str(path))
        async with stream:
            await stream.send_all(sent)
            await stream.send_eof()
            answer = json.loads(bytes([byte async for chunk in stream for byte in chunk]))
        assert answer["refusal"] == Refusal.BAD_REQUEST
        assert (await ask(path, STATUS)).status is not None


async def test_requests_are_bounded_in_size_in_time_and_in_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_CONTROL_REQUEST_BYTES", 100)
    monkeypatch.setattr(limits, "CONTROL_SECONDS", 0.2)
    monkeypatch.setattr(limits, "MAX_CONTROL_REQUESTS", 2)
    async with controlled(node_config(tmp_path)) as (_, path):
        answer = await ask(path, Request(Operation.DROP, event_ids=("x" * 200,)))
        assert answer.refusal == Refusal.BAD_REQUEST
        silent = [await trio.open_unix_socket(str(path)) for _ in range(2)]
        await wait_all_tasks_blocked()
        with pytest.raises(NoAnswer):
            await ask(path, STATUS)
        assert [await stream.receive_some() for stream in silent] == [b"", b""]
        for stream in silent:
            await stream.aclose()
        assert (await ask(path, STATUS)).status is not None


async def test_a_caller_that_leaves_without_its_answer_harms_nothing(tmp_path: Path) -> None:
    async with controlled(node_config(tmp_path)) as (_, path):
        stream = await trio.open_unix_socket(str(path))
        await stream.send_all(encode(STATUS) + b"\n")
        await trio.aclose_forcefully(stream)
        assert (await ask(path, STATUS)).status is not None


async def test_a_socket_that_a_killed_node_left_is_replaced(tmp_path: Path) -> None:
    config = node_config(tmp_path)
    path = socket_path(config.state_path, config.source)
    path.parent.mkdir(mode=0o700)
    listener = trio.socket.socket(trio.socket.AF_UNIX)
    await listener.bind(str(path))
    listener.close()
    with pytest.raises(NotRunning):
        await ask(path, STATUS)
    async with controlled(config):
        assert (await ask(path, STATUS)).status is not None


async def test_a_second_node_of_the_same_file_runs_without_a_socket_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = node_config(tmp_path)
    async with controlled(config) as (first, path), controlled(config):
        assert "another node of this file is running" in caplog.text
        report = (await ask(path, STATUS)).status
        assert report is not None
    assert first.drain.is_set()


async def test_a_state_directory_that_can_not_be_used_costs_only_the_socket(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "state").write_text("a file")
    children = Children()
    async with controlled(node_config(tmp_path, "alpha"), children):
        assert "can't be asked for its status" in caplog.text
        assert children.running == {"alpha"}


async def test_a_long_path_is_no_obstacle(tmp_path: Path) -> None:
    config = node_config(tmp_path)
    deep = tmp_path / ("x" * 100) / ("y" * 100)
    deep.mkdir(parents=True, mode=0o700)
    async with controlled(attrs.evolve(config, state_path=deep)) as (_, path):
        assert len(str(path)) > 200
        assert (await ask(path, STATUS)).status is not None


async def test_a_reload_is_answered_with_what_it_did_or_why_not(tmp_path: Path) -> None:
    async with controlled(node_config(tmp_path, "alpha")) as (node, path):
        done = (await ask(path, Request(Operation.RELOAD))).reloaded
        assert done is not None
        assert done.unchanged == 1

        def fail() -> NodeConfig:
            raise ConfigError(tmp_path / "MoltnetNode", Problem("$.version", "must be moltnet.node.v1"))

        node._load = fail
        answer = await ask(path, Request(Operation.RELOAD))
        assert answer.refusal == Refusal.BAD_CONFIGURATION
        assert "$.version: must be moltnet.node.v1" in answer.text


async def test_dead_letters_are_reached_through_the_socket_without_their_text(tmp_path: Path) -> None:
    config = node_config(tmp_path, "alpha", "beta")
    state_dir = config.attachments[0].state_dir
    state_dir.mkdir(parents=True)
    for message_id in ("msg_1", "msg_2"):
        each = message(message_id)
        wake = Wake(created(each).id, "c", attrs.evolve(each, parts=()), WakeReason.ROOM, "> the text")
        await DeadLetters(state_dir).record(Conversation.of_target("net", each.target), [wake], 6, "no")
    async with controlled(config) as (_, path):
        listed = (await ask(path, Request(Operation.LIST))).letters
        assert [(each.agent_id, len(each.letters)) for each in listed] == [("alpha", 2), ("beta", 0)]
        assert b"the text" not in encode(listed)
        dropped = (await ask(path, Request(Operation.DROP, "alpha", ("msg_1",)))).letters
        assert [letter.message_id for letter in dropped[0].letters] == ["msg_1"]
        retried = (await ask(path, Request(Operation.RETRY))).letters
        assert [letter.message_id for letter in retried[0].letters] == ["msg_2"]
        assert (await ask(path, Request(Operation.LIST, "gamma"))).refusal == Refusal.NOT_FOUND


def test_the_socket_is_found_beside_a_file_that_is_being_edited(tmp_path: Path) -> None:
    source = tmp_path / "MoltnetNode"
    source.write_text("state_path: here\nattachments: 7\nnonsense: true\n")
    assert find_socket(None, {}, tmp_path) == (source, tmp_path / "here" / ".moltnetnode.sock")
    source.write_text("state_path: [unfinished")
    assert find_socket(source, {}, tmp_path) == (source, tmp_path / ".moltnet" / "node" / ".moltnetnode.sock")
    with pytest.raises(ConfigError):
        find_socket(tmp_path / "other", {}, tmp_path)
