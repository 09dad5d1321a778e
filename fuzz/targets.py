"""Every target: where its module is, so that one can be loaded without the others."""

import importlib
from typing import Final

from fuzz.campaign import Target

NAMES: Final = (
    "frames",
    "session",
    "bodies",
    "heads",
    "requests",
    "identities",
    "cursors",
    "configs",
    "answers",
    "transcripts",
    "gateways",
    "documents",
    "backups",
    "invitations",
)


def target(name: str) -> Target:
    """The target of ``fuzz.<name>``. Raises ``KeyError`` for another name."""
    if name not in NAMES:
        raise KeyError(name)
    found = importlib.import_module(f"fuzz.{name}").TARGET
    assert isinstance(found, Target)
    return found


def all_targets() -> tuple[Target, ...]:
    return tuple(map(target, NAMES))
