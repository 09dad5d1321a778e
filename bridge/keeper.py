"""The keeper of one command: a small process between the node and an agent runtime, so that no runtime outlives its
turn.

It starts the command in a session of its own and holds one end of a socket, the leash. When the node's end closes,
because the turn is over, was cancelled, or the node was killed, the keeper ends the command: SIGTERM to its group, a
grace period, SIGKILL. When the command is gone, whatever it left behind is killed too, even what moved to another
session: the keeper is its subreaper, so orphans become its children. The kernel kills the command if the keeper dies
(`PR_SET_PDEATHSIG`). Elsewhere than on Linux only the group is ended.

It also keeps the command within its limits. The kernel has limits for one process, which the keeper sets before it
executes: CPU time, open files, size of a file, no core dumps. What all processes of the command take together it counts
itself, twice a second, and kills the command when it is too much: the kernel's limit of memory counts what programs
reserve and never use, as those in JavaScript and Go do by the terabyte; its limit of processes counts all of a user.

It runs as a script in an isolated interpreter (`python -I -S keeper.py …`), so it imports nothing but the standard
library and as little of that as it can: each turn waits for it. Why it exists:
docs/decisions/0010-runtime-process-death.md.

    keeper.py LEASH_FD TERM_GRACE_SECONDS KILL_SECONDS LIMITS DIRECTORY PROGRAM [ARGUMENT…]

LIMITS are `name=number` with commas between them; a name that is missing has no limit. At the end the keeper writes one
line to the leash: `exit CODE` (negative: the signal), `limit NAME` if that was exceeded, or `chdir ERRNO` /
`exec ERRNO` if the command could not be started. Environment, stdin, stdout and stderr are the command's own.
"""

import ctypes
import os
import resource
import select
import signal
import sys
import time
from contextlib import suppress

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

# After SIGXCPU, which a program may catch to tidy up, SIGKILL follows when it has used so much more.
CPU_GRACE_SECONDS = 2
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

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


class Limits:
    """What the command may use, by name; see `bridge.settings.ProcessLimits`."""

    def __init__(self, text: str) -> None:
        pairs = (pair.partition("=") for pair in text.split(",") if pair)
        self.numbers = {name: float(number) for name, _, number in pairs}
        self.watch_seconds = self.numbers.pop("watch_seconds", 3600.0)

    def set(self) -> None:
        """Set what the kernel keeps, on this process and all that it starts."""
        lower(resource.RLIMIT_CORE, 0, 0)  # a core dump has every secret of the process in it
        if (cpu := self._number("cpu_seconds")) is not None:
            lower(resource.RLIMIT_CPU, cpu, cpu + CPU_GRACE_SECONDS)
        if (files := self._number("open_files")) is not None:
            lower(resource.RLIMIT_NOFILE, min(self._number("usual_open_files") or files, files), files)
        if (size := self._number("file_bytes")) is not None:
            lower(resource.RLIMIT_FSIZE, size, size)

    def exceeded(self) -> str:
        """The name of the limit that all our descendants together are beyond; empty if there is none."""
        memory, processes = self._number("memory_bytes"), self._number("processes")
        if memory is None and processes is None:
            return ""
        used_bytes = count = 0
        waiting = list_children(os.getpid())
        while waiting:
            pid = waiting.pop()
            count += 1
            if processes is not None and count > processes:
                return "processes"
            used_bytes += own_bytes(pid)
            if memory is not None and used_bytes > memory:
                return "memory_bytes"
            waiting += list_children(pid)
        return ""

    def _number(self, name: str) -> int | None:
        number = self.numbers.get(name)
        return None if number is None else int(number)


def lower(kind: int, soft: int, hard: int) -> None:
    """Never above what the system allows us: a limit of a service manager stays."""
    _, most = resource.getrlimit(kind)
    if most != resource.RLIM_INFINITY:
        soft, hard = min(soft, most), min(hard, most)
    with suppress(OSError, ValueError):  # a system that knows no such limit
        resource.setrlimit(kind, (soft, hard))


def main(
    leash: int, term_grace_seconds: float, kill_seconds: float, limits: Limits, directory: str, command: list[str]
) -> None:
    os.set_inheritable(leash, False)
    bell = hear_signals()
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    kept, refusal = start(limits, directory, command)
    release_standard_streams()
    exceeded = "" if refusal else wait_end(kept, leash, bell, limits, term_grace_seconds)
    kill_all(kept, bell, kill_seconds)
    if exceeded:
        report(leash, f"limit {exceeded}")
    else:
        report(leash, refusal or f"exit {-signal.SIGKILL if kept.exit_code is None else kept.exit_code}")


def start(limits: Limits, directory: str, command: list[str]) -> tuple[Kept, str]:
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
            limits.set()
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


def wait_end(kept: Kept, leash: int, bell: int, limits: Limits, term_grace_seconds: float) -> str:
    """Wait until the command has exited, was told to and did not within its grace, or has exceeded a limit, whose name
    is returned."""
    events = select.poll()
    events.register(leash, select.POLLIN)
    events.register(bell, select.POLLIN)
    deadline: float | None = None
    look_at = time.monotonic() + limits.watch_seconds
    while kept.reap() and kept.exit_code is None:
        now = time.monotonic()
        if deadline is not None and now >= deadline:
            break
        if now >= look_at:
            if exceeded := limits.exceeded():
                return exceeded
            look_at = now + limits.watch_seconds
        next_at = look_at if deadline is None else min(look_at, deadline)
        ready = dict(events.poll((next_at - now) * 1000 + 1))
        told = leash in ready
        if bell in ready:
            told = any(number in STOP_SIGNALS for number in os.read(bell, 512)) or told
        if told and deadline is None:
            events.unregister(leash)  # its end stays readable for ever
            deadline = time.monotonic() + term_grace_seconds
            kept.signal_group(signal.SIGTERM)
    return ""


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
        for child in list_children(os.getpid()):
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        if events.poll(10):
            os.read(bell, 512)


def list_children(pid: int) -> list[int]:
    """The children of a process, of all its threads. The numbers of our own stay theirs until we reap them."""
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as children:
                found += map(int, children.read().split())
    except OSError:  # it ended; or not Linux, or without that file: then the group is all that we reach
        pass
    return found


def own_bytes(pid: int) -> int:
    """The memory of a process that no file is behind; 0 if it has ended."""
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as pages:
            _, resident, shared, *_ = pages.read().split()
    except (OSError, ValueError):
        return 0
    return (int(resident) - int(shared)) * PAGE_BYTES


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
    leash, grace, kill, limits, directory, *command = sys.argv[1:]
    main(int(leash), float(grace), float(kill), Limits(limits), directory, command)
    os._exit(0)  # nothing to tidy up, and the turn waits: it saves 2 ms
