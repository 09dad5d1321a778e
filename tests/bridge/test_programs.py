"""Why a program cannot be started: each reason says what to do, before the first turn and at a turn."""

import errno
import os
from pathlib import Path

import pytest

from bridge.programs import program_problem, refusal_text
from bridge.runtimes.registry import open_runtime
from bridge.runtimes.runtime import RuntimeMisconfigured
from tests.fakes.attachments import attachment_config

INTERPRETER = "its first line names an interpreter that does not exist: #!/no/such/interp"


def script(directory: Path, text: str = "#!/bin/sh\n", mode: int = 0o755) -> Path:
    path = directory / "agent.sh"
    path.write_bytes(text.encode())
    path.chmod(mode)
    return path


def test_a_program_without_a_slash_is_looked_for_on_the_path_only(tmp_path: Path) -> None:
    script(tmp_path)
    assert program_problem("agent.sh", tmp_path, "/nowhere") == (
        "no program agent.sh on the PATH; for a file beside this configuration write ./agent.sh"
    )
    assert program_problem("agent.sh", Path("/"), str(tmp_path)) is None
    assert refusal_text("agent.sh", tmp_path, errno.ENOENT) == "it is not on the PATH"


def test_a_script_that_is_not_executable_is_told_with_the_command_that_helps(tmp_path: Path) -> None:
    path = script(tmp_path, mode=0o644)
    assert program_problem(str(path), tmp_path, None) == f"{path} is not executable (chmod +x {path})"
    assert refusal_text(str(path), tmp_path, errno.EACCES) == f"it is not executable (chmod +x {path})"


def test_a_missing_interpreter_is_shown(tmp_path: Path) -> None:
    path = script(tmp_path, "#!/no/such/interp\n")
    assert program_problem(str(path), tmp_path, None) == f"{path} cannot be started: {INTERPRETER}"
    assert refusal_text(str(path), tmp_path, errno.ENOENT) == INTERPRETER


def test_a_line_end_from_windows_is_named_as_the_reason(tmp_path: Path) -> None:
    path = script(tmp_path, "#!/bin/sh\r\necho\r\n")
    assert "save the file with Unix line ends" in str(program_problem(str(path), tmp_path, None))


def test_a_script_without_a_first_line_is_told_what_is_missing(tmp_path: Path) -> None:
    path = script(tmp_path, "echo hello\n")
    assert refusal_text(str(path), tmp_path, errno.ENOEXEC) == "it has no first line such as #!/bin/sh"
    path = script(tmp_path, "\x7fELF of another machine")
    assert refusal_text(str(path), tmp_path, errno.ENOEXEC) == os.strerror(errno.ENOEXEC)


def test_what_is_there_and_fine_has_no_problem_and_what_is_not_there_is_named(tmp_path: Path) -> None:
    assert program_problem(str(script(tmp_path)), tmp_path, None) is None
    assert program_problem("./agent.sh", tmp_path, None) is None
    assert program_problem(str(tmp_path / "nothing"), tmp_path, None) == f"no program {tmp_path / 'nothing'}"
    assert program_problem(str(tmp_path), tmp_path, None) == f"{tmp_path} is a directory, not a program"


async def test_a_runtime_with_such_a_program_is_refused_when_it_is_opened(tmp_path: Path) -> None:
    config = attachment_config(tmp_path, command=(str(script(tmp_path, mode=0o644)),))
    with pytest.raises(RuntimeMisconfigured, match=r"/agent\.sh is not executable \(chmod \+x /"):
        async with open_runtime(config):
            pass
