"""The standard streams of this process as commands need them: there, whatever the shell did, and quiet at the end."""

import os
import sys


def open_missing_streams() -> None:
    """Put the null device in place of each standard stream that was closed before we began.

    Who closes a stream does not want to hear of it. Its number must not become that of a file or a connection either:
    whatever is printed later would go there.
    """
    if sys.stdin is None:
        sys.stdin = open(os.devnull, encoding="utf-8")  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def abandon_stdout() -> None:
    """Nobody takes what we print: what Python still holds of it must not raise again at exit."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
