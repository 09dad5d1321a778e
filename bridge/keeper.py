"""The keeper of one command: a small process between the node and an agent runtime, so that no runtime outlives its
turn.

It starts the command in a session of its own and holds one end of a socket, the leash. When the node's end closes,
because the turn is over, was cancelled, or the node was killed, the keeper ends the command: SIGTERM to its group, a
grace period, SIGKILL. When the command is gone, whatever it left behind is killed too, even what moved to another
session: the keeper is its subreaper, so orphans become its children. The kernel kills the command if the keeper dies
(`PR_SET_PDEATHSIG`). Elsewhere than on Linux only the group is ended.

It runs as a script in an isolated interpreter (`python -I -S keeper.py …`), so it imports nothing but the standard
library and as little of that as it can: each turn waits for it. Why it exists:
docs/decisions/0010-runtime-process-death.md.

    keeper.py LEASH_FD TERM_GRACE_SECONDS KILL_SECONDS DIRECTORY PROGRAM [ARGUMENT…]

At the end it writes one line to the leash: `exit CODE` (negative: the signal), or `chdir ERRNO` / `exec ERRNO` if the
command could not be started. Environment, stdin, stdout and stderr are the command's own.
"""

import ctypes
import os
import select
import signal
import sys
import time
from contextlib import suppress

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Kept:
    """The command's first process, which leads its group and session, and what became of it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.exit_code: int | None = None

    def reap(self) -> bool:
        """Take the exit status of every child that has ended, adopted orphans too; whether any child is left."""
        with suppress(ChildProcessError):
            while (reaped := os.waitpid(-1, os.WNOHANG))[0]:
                if reaped[0] == self.pid:
                    self.exit_code = os.waitstatus_to_exitcode(reaped[1])
            return True
        return False

    def signal_group(self, number: signal.Signals) -> None:
        """Signal the whole group, also after its leader was reaped.

        The number cannot be another's by then: numbers are given out in turn, and this one was in use a moment ago.
        """
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


def main(leash: int, term_grace_seconds: float, kill_seconds: float, directory: str, command: list[str]) -> None:
    os.set_inheritable(leash, False)
    bell = hear_signals()
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    kept, refusal = start(directory, command)
    release_standard_streams()
    if not refusal:
        wait_end(kept, leash, bell, term_grace_seconds)
    kill_all(kept, bell, kill_seconds)
    report(leash, refusal or f"exit {-signal.SIGKILL if kept.exit_code is None else kept.exit_code}")


def start(directory: str, command: list[str]) -> tuple[Kept, str]:
    """Fork and execute; why it could not be executed, or an empty string."""
    keeper = os.getpid()
    answer, refuse = os.pipe()  # closed by a successful exec, which is how we know of it
    pid = os.fork()
    if pid == 0:
        step = "exec"
        try:
            os.setsid()
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != keeper:  # it died before the line above
                os._exit(1)
            for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores these, and that would be inherited
                signal.signal(number, signal.SIG_DFL)
            step = "chdir"
            os.chdir(directory)
            step = "exec"
            os.execvp(command[0], command)
        except OSError as error:
            os.write(refuse, f"{step} {error.errno}".encode())
        finally:
            os._exit(1)
    os.close(refuse)
    refusal = os.read(answer, 64).decode()
    os.close(answer)
    return Kept(pid), refusal


def wait_end(kept: Kept, leash: int, bell: int, term_grace_seconds: float) -> None:
    """Wait until the command has exited, or was told to and did not within its grace."""
    events = select.poll()
    events.register(leash, select.POLLIN)
    events.register(bell, select.POLLIN)
    deadline: float | None = None
    while kept.reap() and kept.exit_code is None:
        left_seconds = None if deadline is None else deadline - time.monotonic()
        if left_seconds is not None and left_seconds <= 0:
            return
        ready = dict(events.poll(None if left_seconds is None else left_seconds * 1000 + 1))
        told = leash in ready
        if bell in ready:
            told = any(number in STOP_SIGNALS for number in os.read(bell, 512)) or told
        if told and deadline is None:
            events.unregister(leash)  # its end stays readable for ever
            deadline = time.monotonic() + term_grace_seconds
            kept.signal_group(signal.SIGTERM)


def kill_all(kept: Kept, bell: int, kill_seconds: float) -> None:
    """Kill the group, then every orphan, until no child is left.

    Killing a process hands its children to us, so the loop goes down the tree; what the kernel cannot kill is given up
    after `kill_seconds`.
    """
    kept.signal_group(signal.SIGKILL)
    deadline = time.monotonic() + kill_seconds
    events = select.poll()
    events.register(bell, select.POLLIN)
    while kept.reap() and time.monotonic() < deadline:
        for child in list_children():
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        if events.poll(10):
            os.read(bell, 512)


def list_children() -> list[int]:
    """Our children. Their numbers stay theirs until we reap them."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as children:
            return [int(child) for child in children.read().split()]
    except OSError:  # not Linux, or without that file: then the group is all that we reach
        return []


def hear_signals() -> int:
    """Turn signals into bytes on a pipe, so that one `poll` waits for everything; its reading end."""
    bell, ring = os.pipe()
    os.set_blocking(ring, False)
    signal.set_wakeup_fd(ring, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, *STOP_SIGNALS):
        signal.signal(number, lambda *_: None)  # the byte on the pipe is the message
    return bell


def release_standard_streams() -> None:
    """Let go of the command's stdin and stdout; stderr stays for a traceback of ours."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)


def prctl(option: int, value: int) -> None:
    """Best effort: a kernel without it leaves us the group and the leash."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def report(leash: int, line: str) -> None:
    with suppress(OSError):  # nobody is left to read it
        os.write(leash, f"{line}\n".encode())


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), sys.argv[4], sys.argv[5:])
    os._exit(0)  # nothing to tidy up, and the turn waits: it saves 2 ms
