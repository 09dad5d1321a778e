"""A changed file while the node runs: what changed changes, nothing else does, and nothing does for a bad file."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import attrs
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from bridge import limits
from bridge.config import AttachmentConfig, AuthMode, BrakeSettings, TokenSource
from bridge.errors import AttachRefused, StateInUse
from bridge.runtimes.runtime import RuntimeMisconfigured
from bridge.status import AttachmentState, AttachmentStatus
from moltnet.config.problems import ConfigError, Problem
from moltnet.config.secrets import Secret, write_token_file
from node.config import NodeConfig
from node.supervisor import Node, Reloaded, ReloadRefused, run_node
from tests.expected_errors import ExpectedErrors
from tests.fakes.nodes import Children, node_config


@attrs.define(eq=False)
class File:
    """What the node reads when it is asked to: `now`, or an error."""

    now: NodeConfig
    error: ConfigError | None = None

    def load(self) -> NodeConfig:
        if self.error is not None:
            raise self.error
        return self.now

    def change(self, agent_id: str, change: Callable[[AttachmentConfig], AttachmentConfig]) -> None:
        attachments = tuple(change(each) if each.agent.id == agent_id else each for each in self.now.attachments)
        self.now = attrs.evolve(self.now, attachments=attachments)

    def remove(self, agent_id: str) -> None:
        attachments = tuple(each for each in self.now.attachments if each.agent.id != agent_id)
        self.now = attrs.evolve(self.now, attachments=attachments)


def renamed(config: AttachmentConfig) -> AttachmentConfig:
    return attrs.evolve(config, agent=attrs.evolve(config.agent, name="Another Name"))


@asynccontextmanager
async def running(file: File, children: Children) -> AsyncIterator[Node]:
    drain = trio.Event()
    async with trio.open_nursery() as nursery:
        start = partial(run_node, file.now, drain=drain, environ={}, run_attachment=children.run, load=file.load)
        node: Node = await nursery.start(start)
        await wait_all_tasks_blocked()
        yield node
        drain.set()


async def test_only_what_changed_is_added_removed_or_restarted(tmp_path: Path) -> None:
    all_of_them = node_config(tmp_path, "alpha", "beta", "gamma", "delta")
    file, children = File(all_of_them), Children()
    file.remove("delta")
    async with running(file, children) as node:
        file.now = all_of_them
        file.remove("gamma")
        file.change("beta", renamed)
        done = await node.reload()
        await wait_all_tasks_blocked()
        assert done == Reloaded(added=("delta",), removed=("gamma",), restarted=("beta",), unchanged=1)
        assert children.running == {"alpha", "beta", "delta"}
        assert {name: len(starts) for name, starts in children.starts.items()} == {
            "alpha": 1,
            "beta": 2,
            "gamma": 1,
            "delta": 1,
        }
        assert node.children["beta"].config.agent.name == "Another Name"
        assert set(node.statuses) == {"alpha", "beta", "delta"}


async def test_a_file_that_says_the_same_changes_nothing(tmp_path: Path) -> None:
    file, children = File(node_config(tmp_path, "alpha", "beta")), Children()
    async with running(file, children) as node:
        assert await node.reload() == Reloaded(unchanged=2)
        assert {name: len(starts) for name, starts in children.starts.items()} == {"alpha": 1, "beta": 1}


async def test_a_broken_file_changes_nothing_and_says_why(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file, children = File(node_config(tmp_path, "alpha")), Children()
    async with running(file, children) as node:
        file.error = ConfigError(tmp_path / "MoltnetNode", Problem("$.attachments[0].agent.id", "is required", 7))
        with pytest.raises(ReloadRefused, match=r"MoltnetNode:7: \$.attachments\[0\].agent.id: is required"):
            await node.reload()
        assert "reload refused" in caplog.text
        file.error = None
        file.now = attrs.evolve(file.now, state_path=tmp_path / "elsewhere", attachments=())
        with pytest.raises(ReloadRefused, match="needs a restart: state_path"):
            await node.reload()
        await wait_all_tasks_blocked()
        assert children.running == {"alpha"}
        assert len(children.starts["alpha"]) == 1


async def test_an_agent_that_comes_back_while_it_drains_goes_on_when_it_has(tmp_path: Path) -> None:
    ended = trio.Event()

    class Slow(Children):
        async def run(self, config: AttachmentConfig, *, drain: trio.Event, **given: object) -> None:
            self.starts.setdefault(config.agent.id, []).append(trio.current_time())
            await drain.wait()
            await ended.wait()

    file, children = File(node_config(tmp_path, "alpha")), Slow()
    whole = file.now
    async with running(file, children) as node:
        file.remove("alpha")
        assert (await node.reload()).removed == ("alpha",)
        await wait_all_tasks_blocked()
        assert "alpha" in node.children
        file.now = whole
        assert (await node.reload()).added == ("alpha",)
        await wait_all_tasks_blocked()
        assert len(children.starts["alpha"]) == 1
        ended.set()
        await wait_all_tasks_blocked()
        assert len(children.starts["alpha"]) == 2


async def test_a_child_that_fails_while_it_is_restarted_harms_nobody(
    tmp_path: Path, expected_errors: ExpectedErrors
) -> None:
    class Clumsy(Children):
        async def run(self, config: AttachmentConfig, *, drain: trio.Event, **given: object) -> None:
            self.starts.setdefault(config.agent.id, []).append(trio.current_time())
            await drain.wait()
            if config.agent.id == "alpha" and len(self.starts["alpha"]) == 1:
                raise OSError("while stopping")

    file, children = File(node_config(tmp_path, "alpha", "beta")), Clumsy()
    async with running(file, children) as node:
        file.change("alpha", renamed)
        await node.reload()
        await wait_all_tasks_blocked()
        assert {name: len(starts) for name, starts in children.starts.items()} == {"alpha": 2, "beta": 1}
    expected_errors.take("attachment failed")


async def test_the_brakes_of_the_node_change_in_place_and_those_of_an_agent_restart_it(tmp_path: Path) -> None:
    file, children = File(node_config(tmp_path, "alpha", "beta")), Children()
    async with running(file, children) as node:
        file.now = attrs.evolve(file.now, parallel_turns=3)
        assert (await node.reload()).unchanged == 2
        assert node.slots.total_tokens == 3
        file.change("alpha", lambda config: attrs.evolve(config, brakes=BrakeSettings(turns_per_hour=1)))
        assert (await node.reload()).restarted == ("alpha",)


async def test_what_is_parked_is_tried_at_once_after_a_reload(tmp_path: Path, expected_errors: ExpectedErrors) -> None:
    file, children = File(node_config(tmp_path, "alpha", "beta")), Children()
    children.fail("alpha", RuntimeMisconfigured("no such program"))
    async with running(file, children) as node:
        assert node.statuses["alpha"].state is AttachmentState.PARKED
        assert await node.reload() == Reloaded(nudged=("alpha",), unchanged=1)
        await wait_all_tasks_blocked()
        assert children.running == {"alpha", "beta"}
    expected_errors.take("parked")


def with_token_file(config: AttachmentConfig, path: Path) -> AttachmentConfig:
    server = attrs.evolve(config.server, auth_mode=AuthMode.BEARER, token=TokenSource(path=path))
    return attrs.evolve(config, server=server)


@attrs.define(eq=False)
class Guarded(Children):
    """Only one token is let in."""

    valid: str = "new"
    refused: list[str] = attrs.field(factory=list)

    async def run(
        self, config: AttachmentConfig, *, status: AttachmentStatus, drain: trio.Event, **given: object
    ) -> None:
        assert config.server.token is not None
        token = config.server.token.resolve({})
        status.used_token = Secret(token)
        if token != self.valid:
            self.refused.append(token)
            raise AttachRefused("refused: unknown token")
        status.attached()
        self.running.add(config.agent.id)
        await drain.wait()
        self.running.discard(config.agent.id)


async def wait_for(condition: Callable[[], bool]) -> None:
    with trio.fail_after(20):
        while not condition():  # noqa: ASYNC110 - a thread looks at a file
            await trio.sleep(0.01)


async def test_an_agent_parked_for_its_token_is_tried_when_the_file_has_another(
    tmp_path: Path, expected_errors: ExpectedErrors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "RECONNECT_BASE_SECONDS", 0.01)
    monkeypatch.setattr(limits, "TOKEN_LOOK_SECONDS", 0.01)
    path = tmp_path / "alpha.token"
    write_token_file(path, "old")
    file, children = File(node_config(tmp_path, "alpha")), Guarded()
    file.change("alpha", lambda config: with_token_file(config, path))
    async with running(file, children) as node:
        await wait_for(lambda: node.statuses["alpha"].state is AttachmentState.PARKED)
        for _ in range(20):  # the same token is not tried again and again
            await trio.sleep(0.01)
        assert children.refused == ["old"]
        path.unlink()  # nor is one that is gone
        await trio.sleep(0.05)
        write_token_file(path, "new")
        await wait_for(lambda: children.running == {"alpha"})
        assert children.refused == ["old"]
    expected_errors.take("parked")


@pytest.mark.parametrize(
    "error", [RuntimeMisconfigured("no such program"), StateInUse("alpha", 4711), AttachRefused("no address")]
)
async def test_a_token_that_was_never_refused_is_no_reason_to_try_without_a_pause(
    error: Exception, tmp_path: Path, expected_errors: ExpectedErrors, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "TOKEN_LOOK_SECONDS", 0.01)
    path = tmp_path / "alpha.token"
    write_token_file(path, "new")

    class Failing(Children):
        async def run(self, config: AttachmentConfig, *, status: AttachmentStatus, **given: object) -> None:
            self.starts.setdefault(config.agent.id, []).append(trio.current_time())
            if isinstance(error, AttachRefused):
                status.used_token = Secret("new")
            raise type(error)(*error.args)

    file, children = File(node_config(tmp_path, "alpha")), Failing()
    file.change("alpha", lambda config: with_token_file(config, path))
    async with running(file, children):
        await trio.sleep(0.4)
        assert len(children.starts["alpha"]) == 1
    if not isinstance(error, StateInUse):
        expected_errors.take("parked")


async def test_a_token_that_was_replaced_before_its_refusal_came_is_tried_at_once(
    tmp_path: Path, expected_errors: ExpectedErrors
) -> None:
    path = tmp_path / "alpha.token"
    write_token_file(path, "old")

    class Rotating(Guarded):
        async def run(self, config: AttachmentConfig, **given: object) -> None:
            try:
                await super().run(config, **given)  # type: ignore[arg-type]  # passed on as it came
            except AttachRefused:
                write_token_file(path, "new")
                raise

    file, children = File(node_config(tmp_path, "alpha")), Rotating()
    file.change("alpha", lambda config: with_token_file(config, path))
    async with running(file, children):
        await wait_for(lambda: children.running == {"alpha"})
        assert children.refused == ["old"]
    expected_errors.take("parked")


async def test_a_reload_connects_with_the_token_that_the_file_has_now(tmp_path: Path) -> None:
    path = tmp_path / "alpha.token"
    write_token_file(path, "new")
    file, children = File(node_config(tmp_path, "alpha", "beta")), Guarded()
    for name in ("alpha", "beta"):
        file.change(name, lambda config: with_token_file(config, path))
    async with running(file, children) as node:
        assert await node.reload() == Reloaded(unchanged=2)
        node.statuses["alpha"].used_token = Secret("the one before")
        assert await node.reload() == Reloaded(restarted=("alpha",), unchanged=1)


async def test_a_node_that_stops_takes_nothing_over(tmp_path: Path) -> None:
    whole = node_config(tmp_path, "alpha", "beta")
    file, children = File(whole), Children()
    file.remove("beta")
    async with running(file, children) as node:
        file.now = whole
        node.drain.set()
        with pytest.raises(ReloadRefused, match="is stopping"):
            await node.reload()
    assert set(children.starts) == {"alpha"}


async def test_a_node_without_a_file_refuses_to_reload(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        drain = trio.Event()
        node: Node = await nursery.start(
            partial(run_node, node_config(tmp_path), drain=drain, environ={}, run_attachment=Children().run)
        )
        with pytest.raises(ReloadRefused, match="no file"):
            await node.reload()
        drain.set()
