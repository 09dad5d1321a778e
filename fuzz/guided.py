"""Coverage-guided: ``python -m fuzz.guided TARGET --seconds 60`` lets libFuzzer look for inputs that reach other code.

It needs atheris (``scripts/install-fuzz-tools``; ``make fuzz`` does it), which rewrites the bytecode of our
packages as they are imported, so each target runs in a process of its own. The stored inputs are what it begins with;
what it finds on the way stays in ``.cache/fuzz/TARGET``, and a failing input becomes one of the stored ones.
"""

import argparse
import contextlib
import hashlib
import importlib
import importlib.util
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from fuzz.campaign import CORPUS, DEFAULT_SECONDS, Target
from fuzz.mutation import MAX_INPUT_BYTES
from fuzz.targets import NAMES

CACHE: Final = Path(__file__).parent.parent / ".cache" / "fuzz"
INSTRUMENTED: Final = ("moltnet", "bridge", "node")
MAX_RESIDENT_MIB: Final = 2048
MAX_INPUT_SECONDS: Final = 30
"""One input that takes this long, or this much memory, is a failure by itself."""
ATHERIS: Final = "atheris"
ADVICE: Final = "atheris is not there: scripts/install-fuzz-tools, and PYTHONPATH=.cache/fuzz-tools"


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if nothing broke, 1 if something did, 2 if atheris is missing."""
    parser = argparse.ArgumentParser(description=__doc__.partition(":")[0] if __doc__ else "")
    parser.add_argument(
        "targets", nargs="*", metavar="TARGET", help=f"one or more of {', '.join(NAMES)} (default: all)"
    )
    parser.add_argument("--seconds", type=int, default=int(DEFAULT_SECONDS), help="for each (default: %(default)s)")
    parser.add_argument("--in-this-process", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if unknown := set(options.targets) - set(NAMES):
        parser.error(f"there is no target {', '.join(sorted(unknown))}")
    if importlib.util.find_spec(ATHERIS) is None:
        print(ADVICE, file=sys.stderr)
        return 2
    if options.in_this_process:
        _fuzz(options.targets[0], options.seconds)  # does not return
    failed = 0
    for name in options.targets or NAMES:
        failed |= _run(name, options.seconds)
    return failed


def _run(name: str, seconds: int) -> int:
    """One target in a process of its own; what libFuzzer says of it in a line."""
    command = [sys.executable, "-m", "fuzz.guided", name, f"--seconds={seconds}", "--in-this-process"]
    finished = subprocess.run(command, check=False, text=True, errors="replace", capture_output=True)
    lines = finished.stderr.splitlines()
    done = next((line for line in reversed(lines) if line.startswith("Done ")), "")
    covered = next((line.split("cov:", 1)[1].split()[0] for line in reversed(lines) if "cov:" in line), "?")
    if finished.returncode == 0 and done:
        print(f"{name}: {done.removeprefix('Done ')}, {covered} places reached: nothing broke")
        return 0
    print(f"{name}: BROKEN\n{finished.stdout}{finished.stderr}")
    return 1


def _fuzz(name: str, seconds: int) -> None:
    atheris = importlib.import_module(ATHERIS)  # it has no types, and need not be there
    with atheris.instrument_imports(include=list(INSTRUMENTED)):
        target: Target = importlib.import_module(f"fuzz.{name}").TARGET
    found, stored = CACHE / name, CORPUS / name
    found.mkdir(parents=True, exist_ok=True)
    words = CACHE / f"{name}.dict"
    words.write_text("".join(f'"{_quoted(token)}"\n' for token in target.tokens if token))
    atheris.Setup(
        [
            f"fuzz.{name}",
            *(str(found), str(stored)),
            *(f"-dict={words}", f"-max_total_time={seconds}", f"-max_len={MAX_INPUT_BYTES}"),
            *(f"-rss_limit_mb={MAX_RESIDENT_MIB}", f"-timeout={MAX_INPUT_SECONDS}", f"-artifact_prefix={found}/"),
        ],
        _checking(target, stored),
    )
    atheris.Fuzz()


def _checking(target: Target, stored: Path) -> Callable[[bytes], None]:
    def check(data: bytes) -> None:
        try:
            target.check(data)
        except Exception:
            with contextlib.suppress(OSError):
                (stored / f"crash-{hashlib.sha256(data).hexdigest()[:16]}").write_bytes(data)
            raise

    return check


def _quoted(token: bytes) -> str:
    return "".join(chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\x{byte:02x}" for byte in token)


if __name__ == "__main__":
    sys.exit(main())
