"""A node: each attachment on its own, whatever happens to the others."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from bridge import limits
from bridge.config import AttachmentConfig, RoomBinding
from bridge.errors import AttachRefused, ConnectionLost, Incompatible, StateInUse
from bridge.loop import run_attachment
from bridge.runtimes.runtime import RuntimeMisconfigured, Turn
from bridge.status import AttachmentState
from moltnet.protocol.ids import RoomId
from node.config import NodeConfig
from node.supervisor import Node, run_node
from tests.expected_errors import ExpectedErrors
from tests.fakes.attach_server import open_attach_server
from tests.fakes.messages import created, message, sender
from tests.fakes.nodes import Children, node_config
from tests.fakes.runtime import FakeRuntime


@asynccontextmanager
async def running(config: NodeConfig, children: Children) -> AsyncIterator[tuple[Node, trio.Event]]:
    """The node, and its drain, which leaving the block sets."""
    drain = trio.Event()
    async with trio.open_nursery() as nursery:
        start = partial(run_node, config, drain=drain, environ={}, run_attachment=children.run)
        node: Node = await nursery.start(start)
        await wait_all_tasks_blocked()
        yield node, drain
        drain.set()


async def test_a_child_that_fails_is_started_again_and_its_sibling_does_not_notice(
    tmp_path: Path, autojump_clock: MockClock, expected_errors: ExpectedErrors
) -> None:
    children = Children()
    children.fail("alpha", ZeroDivisionError("a bug"), times=3)
    async with running(node_config(tmp_path, "alpha", "beta"), children) as (node, _):
        await trio.sleep(60)
        assert children.running == {"alpha", "beta"}
        assert (len(children.starts["alpha"]), len(children.starts["beta"])) == (4, 1)
        assert node.statuses["alpha"].state is AttachmentState.ATTACHED
        assert "a bug" in node.statuses["alpha"].last_error
        assert node.statuses["beta"].last_error == ""
    for _ in range(3):
        expected_errors.take("attachment failed")


async def test_a_group_of_errors_is_a_failure_like_any_other(
    tmp_path: Path, autojump_clock: MockClock, expected_errors: ExpectedErrors
) -> None:
    children = Children()
    children.fail("alpha", ExceptionGroup("several", [ValueError("x"), OSError("y")]))
    async with running(node_config(tmp_path, "alpha"), children):
        await trio.sleep(10)
        assert children.running == {"alpha"}
    expected_errors.take("attachment failed")


async def test_restarts_back_off_and_start_over_after_a_healthy_run(
    tmp_path: Path, autojump_clock: MockClock, expected_errors: ExpectedErrors
) -> None:
    """Weakness 8 of the reference."""
    children = Children()
    children.fail("alpha", OSError("disk"), times=8)
    children.fail("alpha", OSError("disk"), after_seconds=limits.HEALTHY_SECONDS + 1)
    async with running(node_config(tmp_path, "alpha"), children):
        await trio.sleep(300)
    starts = children.starts["alpha"]
    delays = [later - earlier for earlier, later in pairwise(starts)]
    assert delays[0] < 1
    assert delays[7] > 0.7 * limits.RECONNECT_CAP_SECONDS
    assert delays[8] - (limits.HEALTHY_SECONDS + 1) < 1
    for _ in range(9):
        expected_errors.take("attachment failed")


@pytest.mark.parametrize(
    "error",
    [AttachRefused("invalid token"), Incompatible("another network"), RuntimeMisconfigured("no such program")],
)
async def test_a_refused_child_is_parked_is_shown_and_looks_again_later(
    error: Exception, tmp_path: Path, autojump_clock: MockClock, expected_errors: ExpectedErrors
) -> None:
    """Weaknesses 3 and 15 of the reference: it stopped the node, or tried for ever, and nobody was told."""
    children = Children()
    children.fail("alpha", error, times=2)
    async with running(node_config(tmp_path, "alpha", "beta"), children) as (node, _):
        status = node.statuses["alpha"]
        assert (status.state, status.last_error) == (AttachmentState.PARKED, str(error))
        assert status.retry_at == pytest.approx(trio.current_time() + limits.PARKED_SECONDS)
        await trio.sleep(limits.PARKED_SECONDS - 1)
        assert len(children.starts["alpha"]) == 1
        await trio.sleep(limits.PARKED_SECONDS + 2)
        assert children.running == {"alpha", "beta"}
    # Twice the same trouble is one error in the log.
    assert expected_errors.take("parked").levelname == "ERROR"


async def test_state_that_is_in_use_is_waited_for_without_an_error(
    tmp_path: Path, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    children = Children()
    children.fail("alpha", StateInUse("alpha", 4711), times=3)
    async with running(node_config(tmp_path, "alpha"), children) as (node, _):
        assert node.statuses["alpha"].state is AttachmentState.PARKED
        await trio.sleep(60)
        assert children.running == {"alpha"}
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == ["another node (pid 4711) already runs alpha; stop it"]


async def test_a_drain_ends_children_that_run_wait_or_are_parked(
    tmp_path: Path, autojump_clock: MockClock, expected_errors: ExpectedErrors
) -> None:
    children = Children()
    children.fail("parked", AttachRefused("no"))
    children.fail("failing", ConnectionLost("down"), times=20)
    async with running(node_config(tmp_path, "running", "parked", "failing"), children) as (node, drain):
        await trio.sleep(60)
        before = trio.current_time()
        drain.set()
    assert trio.current_time() - before < 1
    assert {status.state for status in node.statuses.values()} == {AttachmentState.STOPPED}
    expected_errors.take("parked")
    while "attachment failed" in expected_errors.describe():
        expected_errors.take("attachment failed")


async def test_a_node_without_attachments_says_so_and_idles_until_the_drain(
    tmp_path: Path, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    with trio.move_on_after(1000) as idling:
        async with running(node_config(tmp_path), Children()):
            await trio.sleep(2000)
    assert idling.cancelled_caught
    assert f"no attachments in {tmp_path / 'MoltnetNode'}, nothing to do" in caplog.text


async def test_an_agent_that_crashes_never_touches_one_that_talks(
    tmp_path: Path, expected_errors: ExpectedErrors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same with everything real but the runtimes."""
    monkeypatch.setattr(limits, "RECONNECT_BASE_SECONDS", 0.01)
    monkeypatch.setattr(limits, "RECONNECT_CAP_SECONDS", 0.05)
    crashed = 0

    async def crash(_turn: Turn) -> None:
        nonlocal crashed
        crashed += 1
        raise ZeroDivisionError("a bug")

    runtimes = {"alpha": FakeRuntime(crash), "beta": FakeRuntime()}
    drain = trio.Event()
    async with open_attach_server() as server, trio.open_nursery() as nursery:
        config = node_config(tmp_path, "alpha", "beta")
        attachments = tuple(
            attrs.evolve(
                attachment,
                server=attrs.evolve(attachment.server, base_url=server.base_url),
                rooms=(RoomBinding(RoomId("general")),),
            )
            for attachment in config.attachments
        )

        async def run(config: AttachmentConfig, **given: object) -> None:
            await run_attachment(config, open_runtime=runtimes[config.agent.id].open, **given)  # type: ignore[arg-type]  # passed on as it came

        start = partial(
            run_node,
            attrs.evolve(config, attachments=attachments),
            drain=drain,
            environ={},
            run_attachment=run,
        )
        await nursery.start(start)
        await server.wait_attached(2)
        server.publish(*(created(message(f"msg_{number}", sender=sender("someone"))) for number in range(5)))
        await runtimes["beta"].wait_until(lambda runtime: "msg_4" in "".join(runtime.finished))
        await runtimes["alpha"].wait_until(lambda runtime: len(runtime.turns) >= 3)
        (beta,) = (peer for peer in server.peers if peer.identified and peer.identified.agent.id == "beta")
        await server.wait_until(lambda _: len(beta.acked) == 5)
        assert not beta.gone.is_set()
        drain.set()
    while "attachment failed" in expected_errors.describe():
        expected_errors.take("attachment failed")
    assert crashed >= 3
