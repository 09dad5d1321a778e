"""How `moltnet` ends: every exit code, and the error that carries one.

Scripts rely on the numbers; they do not change.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit status of every command."""

    OK = 0
    INTERNAL = 1
    """A bug, or the machine: no space, no permission."""
    USAGE = 2
    """Wrong arguments, wrong configuration, or input that the server cannot accept."""
    AUTH = 3
    """The credential is missing, wrong, or not allowed to do this."""
    NOT_FOUND = 4
    CONFLICT = 5
    """Something of that name exists already, with other content or another owner."""
    NETWORK = 6
    """The server could not be reached, or did not answer in time."""
    SERVER = 7
    """The server answered that it cannot, or not as a Moltnet server does."""
    INTERRUPTED = 130
    """Ctrl-C: 128 and the number of SIGINT, as shells have it."""


class CommandFailed(Exception):
    """A command cannot go on. The text is one line: what is wrong, and what to do next."""

    def __init__(self, exit_code: ExitCode, text: str) -> None:
        super().__init__(text)
        self.exit_code = exit_code
