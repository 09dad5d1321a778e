"""Why a program cannot be started, in words that say what to do about it.

Looked at before the first turn (`program_problem`), and when the system has refused (`refusal_text`). Starting it is
the business of `bridge.process`.
"""

import errno
import os
import shutil
from pathlib import Path
from typing import Final

# What Linux reads of a first line.
_FIRST_LINE_BYTES: Final = 256
_ELF: Final = b"\x7fELF"


def program_problem(program: str, directory: Path, search_path: str | None) -> str | None:
    """What is wrong with `program` as far as can be seen without starting it: a sentence, or none. Blocks briefly."""
    if "/" not in program:
        if shutil.which(program, path=search_path) is None:
            return f"no program {program} on the PATH; for a file beside this configuration write ./{program}"
        return None
    path = directory / program
    if not path.exists():
        return f"no program {path}"
    problem = _file_problem(path)
    return f"{path} {problem}" if problem else None


def refusal_text(program: str, directory: Path, number: int) -> str:
    """Why the system refused to execute `program` with the error `number`: what follows "cannot execute …: "."""
    path = directory / program
    match number:
        case errno.ENOENT if "/" not in program:
            return "it is not on the PATH"
        case errno.ENOENT | errno.EACCES if (problem := _file_problem(path)) is not None:
            return f"it {problem}" if problem.startswith("is ") else problem.removeprefix("cannot be started: ")
        case errno.ENOEXEC if not _first_line(path).startswith((_ELF, b"#!")):
            return "it has no first line such as #!/bin/sh"
        case _:
            return os.strerror(number)


def _file_problem(path: Path) -> str | None:
    """What follows the program's name; none if nothing is to be seen, or no file is there."""
    if path.is_dir():
        return "is a directory, not a program"
    if not path.is_file():
        return None
    if not os.access(path, os.X_OK):
        return f"is not executable (chmod +x {path})"
    line = _first_line(path)
    if not line.startswith(b"#!"):
        return None
    # A file from Windows: the system takes the carriage return as a part of the name.
    interpreter = line.removeprefix(b"#!").strip(b" \t").replace(b"\t", b" ").split(b" ")[0]
    if not interpreter or Path(os.fsdecode(interpreter)).exists():
        return None
    shown = line.decode(errors="replace").rstrip()
    advice = "; it ends in a carriage return, save the file with Unix line ends" if line.endswith(b"\r") else ""
    return f"cannot be started: its first line names an interpreter that does not exist: {shown}{advice}"


def _first_line(path: Path) -> bytes:
    """As the system sees it; empty if it cannot be read."""
    try:
        if not path.is_file():
            return b""
        with path.open("rb") as file:
            return file.read(_FIRST_LINE_BYTES).split(b"\n")[0]
    except OSError:
        return b""
