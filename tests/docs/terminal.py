"""A page's commands, carried out as they stand by a shell that plays the reader with several terminals.

The shell is one ``bash -eu`` in an empty directory. Before ``moltnet`` and ``curl`` on its PATH come programs of ours,
which do what a person does with commands that do not end: a server or node is left running as in another terminal, what
is watched is watched until it shows something. Everything that was left running is stopped at the end of the page.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Final

import attrs

from tests.docs.pages import ROOT, Block, Page
from tests.fakes.ports import free_port

PROGRAMS = Path(sys.executable).parent
# Where `scripts/install-test-tools` puts nginx and Caddy.
TOOLS = ROOT / ".cache" / "tools" / "bin"
# These bound a test that hangs.
PAGE_SECONDS = 300
STOP_SECONDS = 40

_MOLTNET = """\
#!/usr/bin/env bash
real='{programs}/moltnet'
case "$* " in
    "start "*|"node start "*|"bridge run "*) ready='is running\\.|attached  |"attached"|parked, someone'; leave=yes ;;
    "setup "*) case "$*" in *--no-start*) exec "$real" "$@" ;; esac; ready='is running\\.'; leave=yes ;;
    "watch "*|"node logs "*"--follow "*) ready='.'; leave= ;;
    *) exec "$real" "$@" </dev/stdin ;;
esac
log=$(mktemp '{running}/program.XXXXXX')
"$real" "$@" >"$log" 2>&1 </dev/null &
program=$!
echo "$program" >>'{running}/started'
for try in $(seq 600); do
    grep -qE "$ready" "$log" && break
    kill -0 "$program" 2>/dev/null || break
    sleep 0.05
done
cat "$log"
grep -qE "$ready" "$log" || exit 1
[ -n "$leave" ] || {{ kill -TERM "$program"; wait "$program" || true; }}
"""
_CURL = """\
#!/usr/bin/env bash
for word; do
    case "$word" in
        -N) exec head -n 1 <(exec {curl} -sS "$@") ;;
        -i|-f*) exec {curl} -sS "$@" ;;
    esac
done
exec {curl} -sS --fail-with-body "$@"
"""
# What the reader does where a page says "stop it".
_STOP = """\
#!/usr/bin/env bash
while read -r program; do
    kill -TERM "$program" 2>/dev/null && timeout {patience} tail --pid="$program" -f /dev/null
done <'{running}/started'
rm '{running}/started'
"""

NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


@attrs.frozen
class Scene:
    """What the reader of a page has before the first block, and what is different for a test.

    ``before`` is typed first, in the same shell. ``typed`` maps commands, as they stand at the beginning of a line, to
    what is typed instead: an id that a test can't know, a place that is taken. ``left_out`` maps commands to the reason
    why nobody types them here; ``needs`` names variables of the shell that the test sets.
    """

    before: str = ""
    typed: Mapping[str, str] = attrs.field(factory=dict)
    left_out: Mapping[str, str] = attrs.field(factory=dict)
    needs: tuple[str, ...] = ()


def blocks_of(page: Page) -> list[Block]:
    return list(page.blocks("sh"))


def is_command_of(command: str, line: str) -> bool:
    """Whether a line begins with it, as a whole word."""
    return line == command or (line.startswith(command) and not (command[-1] + line[len(command)]).isalnum())


def without(scene: Scene, text: str) -> str:
    """A block's text as it is typed; a command that goes on in further lines goes with them."""
    lines: list[str] = []
    dropping = False
    for line in text.splitlines():
        if dropping:
            dropping = line.endswith("\\")
            continue
        if any(is_command_of(command, line) for command in scene.left_out):
            dropping = line.endswith("\\")
            continue
        typed = [command for command in scene.typed if is_command_of(command, line)]
        lines.append(scene.typed[max(typed, key=len)] + line[len(max(typed, key=len)) :] if typed else line)
    return "\n".join(lines) + "\n"


def script_of(page: Page, scene: Scene) -> str:
    """All of a page's commands. The first that fails is named with its block."""
    said = [f"BLOCK={block.line}\n{without(scene, block.text)}" for block in blocks_of(page)]
    on_error = f"trap 'echo \"failed in {page}:$BLOCK: $BASH_COMMAND\" >&2' ERR\nset -E\n"
    return f"BLOCK=before\n{on_error}{scene.before}\n" + "\n".join(said)


def carry_out(
    page: Page, scene: Scene, directory: Path, variables: Mapping[str, str] = NOTHING, installed: Path = PROGRAMS
) -> str:
    """Carry out a page with the ``moltnet`` of a directory; what was printed. Fails with it if a command fails."""
    home = directory / "home"
    work, running, programs = (directory / name for name in ("work", "running", "programs"))
    for each in (home, work, running, programs):
        each.mkdir()
    for name, text in (("moltnet", _MOLTNET), ("curl", _CURL), ("stop-all", _STOP)):
        program = programs / name
        program.write_text(
            text.format(programs=installed, running=running, curl="/usr/bin/curl", patience=STOP_SECONDS)
        )
        program.chmod(0o755)
    environ = {
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "PATH": f"{programs}:{installed}:/usr/bin:/bin:{TOOLS}",
        **variables,
    }
    first, second = str(free_port()), str(free_port())
    environ |= {"PORT": first, "OTHER_PORT": second}
    script = here(script_of(page, scene), work, first, second)
    with stopped_at_the_end(running):
        ran = subprocess.run(
            ["bash", "-eu", "-o", "pipefail", "-c", script],
            cwd=work,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PAGE_SECONDS,
            check=False,
        )
    assert ran.returncode == 0, ran.stdout[-6000:]
    return ran.stdout


def here(text: str, work: Path, first: str, second: str) -> str:
    """The same text with the addresses, ports and directories of this test."""
    text = re.sub(
        r'https://(moltnet|chat|noopolis)\.example(\.com|\.org)?(?=[/"\s}])', f"http://127.0.0.1:{first}", text
    )
    text = text.replace('":8787"', f'"127.0.0.1:{first}"')
    text = text.replace("127.0.0.1:8787", f"127.0.0.1:{first}").replace("127.0.0.1:8788", f"127.0.0.1:{second}")
    for place in ("/srv/", "/backups/"):
        text = re.sub(rf"(?<![\w.…/}}-]){place}", f"{work}{place}", text)
    return text


@contextmanager
def stopped_at_the_end(running: Path) -> Iterator[None]:
    try:
        yield
    finally:
        started = running / "started"
        for line in started.read_text().split() if started.exists() else ():
            _stop(int(line))


def _stop(process: int) -> None:
    """End a program that is no child of ours, and wait until it has."""
    try:
        handle = os.pidfd_open(process)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(handle, signal.SIGTERM)
        subprocess.run(["tail", f"--pid={process}", "-f", "/dev/null"], timeout=STOP_SECONDS, check=True)
    except subprocess.TimeoutExpired:
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        raise
    except ProcessLookupError:
        pass
    finally:
        os.close(handle)
