"""Kinds of runtimes that other packages bring, through an entry point of the group `moltnet.runtimes`.

The name of the entry point is the kind, and what it names is a `Factory`. A factory is asked twice: when a
configuration is checked, and what it makes is thrown away then, and when the attachment starts. The protocol is
described for its users in docs/runtimes.md.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from bridge.runtimes.runtime import Runtime, RuntimeMisconfigured, Turn, TurnFailed
from bridge.runtimes.turn_process import TurnProcess, shorten
from bridge.settings import AttachmentConfig
from moltnet.config.problems import Findings
from moltnet.config.secrets import Secret
from moltnet.log import get_logger

log = get_logger("bridge.plugins")

GROUP: Final = "moltnet.runtimes"


class WrongOptions(Exception):
    """What is wrong with `runtime.options`: a sentence for each key at fault, without a value of theirs."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{key} {problem}" for key, problem in problems.items()))
        self.problems = dict(problems)


@attrs.frozen
class PluginContext:
    """What a runtime may know of its attachment. Paths are absolute; `state_dir` is its own and need not exist yet."""

    kind: str
    agent_id: str
    network_id: str
    state_dir: Path
    turn_seconds: float
    command: tuple[str, ...]
    args: tuple[str, ...]
    workspace_path: Path | None
    home_path: Path | None
    token: Secret | None
    _config: AttachmentConfig = attrs.field(repr=False)

    @classmethod
    def of(cls, config: AttachmentConfig) -> "PluginContext":
        runtime = config.runtime
        return cls(
            kind=runtime.kind,
            agent_id=config.agent.id,
            network_id=config.server.network_id,
            state_dir=config.state_dir,
            turn_seconds=runtime.turn_seconds,
            command=runtime.command,
            args=runtime.args,
            workspace_path=runtime.workspace_path,
            home_path=runtime.home_path,
            token=runtime.token,
            config=config,
        )

    def process(self) -> TurnProcess:
        """What runs a program for a turn: in `workspace_path`, contained as the configuration says, ended with all that
        it started. Raises `RuntimeMisconfigured`."""
        home = self.home_path
        return TurnProcess.of(self._config, {} if home is None else {"HOME": str(home)})


Made = Runtime | AbstractAsyncContextManager[Runtime]
Factory = Callable[[Mapping[str, Any], PluginContext], Made]
"""From `runtime.options` and the context to a runtime, or to a context manager that gives one, which is entered when
the attachment starts and left when it ends. It has no effect by itself, and raises `WrongOptions`."""


class _Unusable(Exception):
    """A package that does not keep to the protocol. The text says how."""


def is_plugin(kind: str) -> bool:
    """Whether a package brings this kind. Reads what is installed."""
    return bool(_entries(kind))


def check_plugin(config: AttachmentConfig, findings: Findings, path: str) -> None:
    """Let the package look at its options, and note what it finds under `path`, which is that of the `runtime`."""
    try:
        _make(config)
    except WrongOptions as wrong:
        for key, problem in wrong.problems.items():
            findings.add(f"{path}.options.{key}", str(problem))
    except _Unusable as error:
        findings.add(f"{path}.kind", str(error))
    except RuntimeMisconfigured as error:
        findings.add(path, error.reason)


@asynccontextmanager
async def open_plugin(config: AttachmentConfig) -> AsyncIterator[Runtime]:
    """The runtime that a package makes. Raises `RuntimeMisconfigured`."""
    kind = config.runtime.kind
    try:
        made = _make(config)
    except WrongOptions as wrong:
        raise RuntimeMisconfigured(shorten(f"runtime.options: {wrong}")) from wrong
    except _Unusable as error:
        raise RuntimeMisconfigured(f"runtime kind {kind} {error}") from error
    if isinstance(made, AbstractAsyncContextManager):
        async with made as runtime:
            yield PluginRuntime(kind, runtime, config.runtime.turn_seconds)
    else:
        yield PluginRuntime(kind, made, config.runtime.turn_seconds)


@attrs.define(eq=False)
class PluginRuntime:
    """A package's runtime, kept to what a `Runtime` promises: in time, and with errors of the known kinds."""

    _kind: str
    _runtime: Runtime
    _turn_seconds: float

    async def run_turn(self, turn: Turn) -> str | None:
        """See `Runtime.run_turn`."""
        said: Any = None
        with trio.move_on_after(self._turn_seconds) as limit:
            try:
                said = await self._runtime.run_turn(turn)
            except (TurnFailed, RuntimeMisconfigured):
                raise
            except Exception as error:
                # Theirs to mend, and not a reason to end the attachment; a wake that always does it is given up.
                log.warning("a plug-in failed", kind=self._kind, exc_info=True)
                reason = shorten(f"{self._kind}: {type(error).__name__}: {error}")
                raise TurnFailed(reason, retryable=True) from error
        if limit.cancelled_caught:
            raise TurnFailed(f"stopped after {self._turn_seconds:g} s", retryable=True)
        return said if isinstance(said, str) else None


def _make(config: AttachmentConfig) -> Made:
    """Raises `WrongOptions`, `RuntimeMisconfigured` or `_Unusable`."""
    factory = _load(config.runtime.kind)
    try:
        made = factory(config.runtime.options, PluginContext.of(config))
    except (WrongOptions, RuntimeMisconfigured):
        raise
    except Exception as error:
        raise _Unusable(f"could not be made: {type(error).__name__}") from error
    if not isinstance(made, AbstractAsyncContextManager) and not callable(getattr(made, "run_turn", None)):
        raise _Unusable(f"is brought by a package whose factory gives a {type(made).__name__} instead of a runtime")
    return made


def _load(kind: str) -> Factory:
    entries = _entries(kind)
    if not entries:
        raise _Unusable("is brought by no installed package")
    if len(entries) > 1:
        packages = sorted(entry.dist.name for entry in entries if entry.dist is not None)
        raise _Unusable(f"is brought by several packages: {', '.join(packages)}")
    try:
        factory = entries[0].load()
    except Exception as error:
        raise _Unusable(f"is brought by a package that cannot be loaded: {type(error).__name__}: {error}") from error
    if not callable(factory):
        raise _Unusable(f"is brought by a package whose {entries[0].value} cannot be called")
    return factory  # type: ignore[no-any-return]  # what it gives is looked at


def _entries(kind: str) -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=GROUP, name=kind))
