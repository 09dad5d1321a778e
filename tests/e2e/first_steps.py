"""A stranger's first steps: what README and quickstart say, typed in a fresh copy of the tree, or with a wheel alone.

    python -m tests.e2e.first_steps [--wheel FILE]

does it for real, with a new home and a new environment from the package index, and prints each command, what it printed
and how long it took. ``docs/first-steps.md`` has the essence of such a run.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import attrs

from tests.docs.pages import DOCS, ROOT, Page
from tests.docs.scenes import SCENES
from tests.docs.terminal import carry_out
from tests.fakes.ports import free_port

READY = ("is running.", "attached  ")
# These bound a run that hangs; installing from an index takes the most.
STEP_SECONDS = 600.0
STOP_SECONDS = 40.0
POLL_SECONDS = 0.05


@attrs.frozen
class Step:
    """What was typed, what was printed until it ended or was ready, and how long that took."""

    typed: str
    printed: str
    seconds: float

    def __str__(self) -> str:
        return f"$ {self.typed.strip()}   ({self.seconds:.1f} s)\n{self.printed.strip()}\n"


def copy_tree(into: Path) -> None:
    """What a clone has: the files that git knows, or would."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, into / name)


def environment(home: Path, **variables: str) -> dict[str, str]:
    """A stranger's: nothing of ours in it."""
    kept = {name: os.environ[name] for name in os.environ if name.startswith(("PIP_", "SSL_", "http", "HTTP"))}
    home.mkdir(exist_ok=True)
    return {**kept, "HOME": str(home), "LANG": "C.UTF-8", "PATH": "/usr/local/bin:/usr/bin:/bin", **variables}


@contextmanager
def left_running(typed: str, tree: Path, environ: Mapping[str, str], log: Path) -> Iterator[Step]:
    """Type it into a terminal of its own, and go on when it is ready. Ctrl-C ends it with the block."""
    began = time.monotonic()
    with log.open("wb") as output:
        program = subprocess.Popen(
            ["bash", "-c", typed], cwd=tree, env=environ, stdout=output, stderr=output, start_new_session=True
        )
    try:
        while not any(word in log.read_text(errors="replace") for word in READY):
            assert program.poll() is None, log.read_text(errors="replace")
            assert time.monotonic() - began < STEP_SECONDS, log.read_text(errors="replace")
            time.sleep(POLL_SECONDS)
        yield Step(typed, log.read_text(errors="replace"), time.monotonic() - began)
    finally:
        if program.poll() is None:
            os.killpg(program.pid, signal.SIGINT)
        try:
            program.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(program.pid, signal.SIGKILL)
            raise


def typed_and_waited(typed: str, tree: Path, environ: Mapping[str, str]) -> Step:
    began = time.monotonic()
    ran = subprocess.run(
        ["bash", "-euc", typed],
        cwd=tree,
        env=dict(environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=STEP_SECONDS,
        check=False,
    )
    assert ran.returncode == 0, f"{typed}\n{ran.stdout}"
    return Step(typed, ran.stdout, time.monotonic() - began)


def follow_readme(tree: Path, environ: Mapping[str, str], logs: Path) -> list[Step]:
    """The blocks of the README in their order, each in a terminal of its own; without Codex the clerk is asked.

    The last step is what the network holds at the end.
    """
    port = free_port()
    for path in (tree / "examples").rglob("Moltnet*"):
        path.write_text(path.read_text().replace("8787", str(port)))
    steps: list[Step] = []
    with ExitStack() as terminals:
        for number, block in enumerate(Page.read(tree / "README.md").blocks("sh")):
            typed = block.text.replace("8787", str(port)).replace("@scout ask the clerk", "@clerk")
            if "make run" in typed or typed.rstrip().endswith("start"):
                if "moltnet start" in typed:
                    terminals.close()  # "Stop `make run`"
                steps.append(terminals.enter_context(left_running(typed, tree, environ, logs / f"{number}.log")))
            else:
                steps.append(typed_and_waited(typed, tree, environ))
        page = f"curl -s http://127.0.0.1:{port}/v1/rooms/general/messages"
        until = f"for try in $(seq 200); do {page} | grep -o '@you it is[^\"]*' && break; sleep 0.1; done"
        steps.append(typed_and_waited(until, tree, environ))
    return steps


def follow_quickstart(directory: Path, programs: Path) -> str:
    """The quickstart with what is installed in `programs`, and nothing of the tree; what was printed."""
    return carry_out(Page.read(DOCS / "quickstart.md"), SCENES["docs/quickstart.md"], directory, installed=programs)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--wheel", type=Path)
    wheel: Path | None = parser.parse_args(arguments).wheel
    with tempfile.TemporaryDirectory(prefix="stranger") as place:
        directory = Path(place)
        environ = environment(directory / "home")
        if wheel is None:
            copy_tree(directory / "moltnet")
            steps = follow_readme(directory / "moltnet", environ, directory)
            print(*steps, sep="\n")
            return 0
        began = time.monotonic()
        venv.create(directory / "venv", with_pip=True)
        programs = directory / "venv" / "bin"
        subprocess.run([programs / "pip", "install", "--quiet", wheel.absolute()], env=environ, check=True)
        print(f"installed after {time.monotonic() - began:.1f} s")
        print(typed_and_waited(f"{programs}/moltnet demo", directory, environ))
        (directory / "quickstart").mkdir()
        print(follow_quickstart(directory / "quickstart", programs))
        print(f"the quickstart was through after {time.monotonic() - began:.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
