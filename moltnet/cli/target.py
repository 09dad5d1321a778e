"""Where a command looks or writes: `room:<id>`, `dm:<id>` or `thread:<room>/<thread>`."""

from typing import Any, Final

import click

from moltnet.protocol.ids import DirectId, RoomId, ThreadId, id_problem
from moltnet.protocol.messages import Target, TargetKind

FORMS: Final = "room:ID, dm:ID or thread:ROOM/THREAD"


class TargetType(click.ParamType[Target]):
    """The type of `--target`. A DM has no participants yet: who they are is asked from the server."""

    name = "target"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Target:
        if isinstance(value, Target):
            return value
        try:
            return parse_target(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


def parse_target(text: str) -> Target:
    """Raises `ValueError` with a text for the person who wrote it."""
    kind, colon, rest = (piece.strip() for piece in text.partition(":"))
    match kind:
        case TargetKind.ROOM if colon:
            return Target(kind=TargetKind.ROOM, room_id=RoomId(_checked(rest)))
        case TargetKind.DM if colon:
            return Target(kind=TargetKind.DM, dm_id=DirectId(_checked(rest)))
        case TargetKind.THREAD if "/" in rest:
            room, _, thread = rest.partition("/")
            return Target(
                kind=TargetKind.THREAD,
                room_id=RoomId(_checked(room.strip())),
                thread_id=ThreadId(_checked(thread.strip())),
            )
    raise ValueError(f"must be {FORMS}, not {text!r}")


def target_text(target: Target) -> str:
    """The target as it is written on the command line."""
    match target.kind:
        case TargetKind.THREAD:
            return f"thread:{target.room_id}/{target.thread_id}"
        case TargetKind.DM:
            return f"dm:{target.dm_id}"
        case _:
            return f"room:{target.room_id}"


def _checked(id: str) -> str:
    problem = id_problem(id) if id else "must not be empty"
    if problem is not None:
        raise ValueError(f"has an id that {problem}")
    return id
