"""A turn that is one process: its environment, its time limit, and its failures in the words of `runtime.py`.

How it is started and ended is `bridge.process`; what is run is said by `command.py` and `cli_agent.py`.
"""

import os
import signal
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import attrs
import trio

from bridge import limits
from bridge.bubblewrap import Sandbox, SandboxFailed, sandbox_of
from bridge.process import (
    Command,
    DirectoryUnusable,
    Ending,
    LimitExceeded,
    OnLine,
    OutputFlood,
    ProcessError,
    ProgramMissing,
    ProgramNotExecutable,
    run_command,
)
from bridge.programs import program_problem
from bridge.runtimes.runtime import RuntimeMisconfigured, Turn, TurnFailed
from bridge.sandbox import MASK, mask_values, runtime_environment, sandbox_environment, secrets_in
from bridge.settings import AttachmentConfig, ProcessLimits

_LIMIT_SIGNALS: Final[Mapping[int, str]] = {
    signal.SIGXCPU: "limits.cpu_seconds, the CPU time of one process",
    signal.SIGXFSZ: "limits.file_mib, the size of one file",
}


@attrs.frozen
class TurnProcess:
    """What the processes of one attachment have in common.

    `passed` names variables of the node that they get, `given` holds variables with values.
    """

    directory: Path
    turn_seconds: float
    passed: tuple[str, ...] = ()
    given: Mapping[str, str] = attrs.field(factory=dict)
    limits: ProcessLimits = attrs.field(factory=ProcessLimits)
    sandbox: Sandbox | None = None

    @classmethod
    def of(
        cls, config: AttachmentConfig, given: Mapping[str, str] | None = None, *, passed: tuple[str, ...] = ()
    ) -> "TurnProcess":
        """The processes of this attachment, contained as it says; `passed` comes beside `runtime.env`.

        Raises:
            RuntimeMisconfigured: it has no workspace.
        """
        runtime = config.runtime
        if runtime.workspace_path is None:
            raise RuntimeMisconfigured(f"{runtime.kind} needs runtime.workspace_path")
        return cls(
            runtime.workspace_path,
            runtime.turn_seconds,
            (*passed, *runtime.env),
            given or {},
            runtime.limits,
            sandbox_of(config),
        )

    def require(self, program: str) -> None:
        """Refuse early what no turn could start. Raises `RuntimeMisconfigured`."""
        if not self.directory.is_dir():
            raise RuntimeMisconfigured(f"workspace_path {self.directory} is not a directory")
        path = self._environment({}).get("PATH")
        problem = program_problem(program, self.directory, path)
        if problem is not None:
            raise RuntimeMisconfigured(problem)

    async def run(self, argv: Iterable[str], turn: Turn, *, on_line: OnLine | None = None) -> Ending:
        """Run one process with the turn's prompt as its input; see `bridge.process.run_command` for `on_line`.

        Raises:
            RuntimeMisconfigured: it cannot be started.
            TurnFailed: it was not started or not run to its end, or the prompt is too long.
        """
        prompt = turn.checked_prompt().encode()
        environment = self._environment({**turn.variables(), **turn.environment})
        secrets = secrets_in(environment)

        command = Command(tuple(argv), self.directory, environment, prompt, self.limits)
        run = run_command if self.sandbox is None else self.sandbox.run
        try:
            ending = await run(command, on_line=_masking(on_line, secrets))
        except (ProgramMissing, ProgramNotExecutable, DirectoryUnusable, SandboxFailed) as error:
            raise RuntimeMisconfigured(str(error)) from error
        except (OutputFlood, LimitExceeded) as error:
            raise TurnFailed(str(error), retryable=False) from error
        except ProcessError as error:
            raise TurnFailed(str(error), retryable=True) from error
        # What a program prints goes to logs and dead letters, and a program that fails may print all that it has.
        return attrs.evolve(
            ending, output=mask_values(ending.output, secrets), errors=mask_values(ending.errors, secrets)
        )

    @contextmanager
    def time_limit(self) -> Iterator[None]:
        """Around a whole turn, of one process or more. Raises `TurnFailed` when the time is up and they are gone."""
        with trio.move_on_after(self.turn_seconds) as limit:
            yield
        if limit.cancelled_caught:
            raise TurnFailed(f"stopped after {self.turn_seconds:g} s", retryable=True)

    def _environment(self, given: Mapping[str, str]) -> dict[str, str]:
        environment = runtime_environment(os.environ, passed=self.passed, given={**self.given, **given})
        return environment if self.sandbox is None else sandbox_environment(environment, self.passed)


def _masking(on_line: OnLine | None, secrets: tuple[str, ...]) -> OnLine | None:
    if on_line is None:
        return None
    hidden = tuple(secret.encode() for secret in secrets)

    async def on_masked_line(line: bytes) -> None:
        for secret in hidden:
            line = line.replace(secret, MASK.encode())
        await on_line(line)

    return on_masked_line


def describe_failure(ending: Ending) -> str:
    """One short text for people: how a process ended and what it said last."""
    how = f"killed by signal {-ending.exit_code}" if ending.exit_code < 0 else f"exit code {ending.exit_code}"
    # A shell, and bubblewrap, say 128 and the signal.
    number = -ending.exit_code if ending.exit_code < 0 else ending.exit_code - 128
    if (limit := _LIMIT_SIGNALS.get(number)) is not None:
        return f"{how}: it is over {limit}"
    lines = [line.strip() for line in (ending.errors.strip() or ending.output.strip()).splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")]
    said = errors[0] if errors else lines[-1] if lines else ""
    return shorten(f"{how}: {said}" if said else how)


def shorten(reason: str) -> str:
    """A reason that fits a log line and a status."""
    return reason if len(reason) <= limits.MAX_REASON_CHARACTERS else f"{reason[: limits.MAX_REASON_CHARACTERS - 1]}…"
