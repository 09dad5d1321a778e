"""A click group whose commands are imported when they are used, so that `moltnet version` loads nothing else.

The table of commands is `main`'s.
"""

import importlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import click
from click.exceptions import NoSuchCommand


# A tuple, not an attrs class: this module is loaded by every run and attrs takes longer than all the rest of it.
class Entry(NamedTuple):
    """A command: the section of the overview it stands in, where it lives (`module:name`), and what it does."""

    section: str
    location: str
    summary: str
    hidden: bool = False


class LazyGroup(click.Group):
    """Commands come from `entries` by name; listing them imports none of them."""

    def __init__(self, *args: Any, entries: Mapping[str, Entry], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._entries = entries

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command. An import that fails is a bug and raises."""
        entry = self._entries.get(cmd_name)
        if entry is None:
            return None
        module, _, name = entry.location.partition(":")
        command = getattr(importlib.import_module(module), name)
        assert isinstance(command, click.Command)
        return command

    def hides(self, name: str) -> bool:
        """Whether a command is left out of the overview."""
        return name in self._entries and self._entries[name].hidden

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self._entries and not args[0].startswith("-"):
            raise NoSuchCommand(args[0], possibilities=list(self._entries), ctx=ctx)
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None:
            check_text(click.Context(command, parent=ctx, info_name=name), rest)
        return name, command, rest

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The overview, by section, from the table alone."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for name, entry in self._entries.items():
            if not entry.hidden:
                sections.setdefault(entry.section, []).append((name, entry.summary))
        for section, rows in sections.items():
            with formatter.section(section):
                formatter.write_dl(rows)


def check_text(ctx: click.Context, arguments: Sequence[str]) -> None:
    """Refuse what is not UTF-8 before any option is understood: no server and no file could hold it.

    Python turns such bytes into halves of characters. Raises `click.UsageError` with the option that they belong to.
    """
    for before, argument in zip(["", *arguments], arguments, strict=False):
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise click.UsageError(f"{_owner(before, argument, ctx.command)} is not UTF-8 text", ctx) from None


def _owner(before: str, argument: str, command: click.Command) -> str:
    option, equals, _ = argument.partition("=")
    if option.startswith("--") and equals and option.isascii():
        return option
    # The options of a group's own commands are not known yet; all of those take a value.
    takes_value = isinstance(command, click.Group) and before.startswith("--")
    takes_value |= any(before in param.opts and not getattr(param, "is_flag", False) for param in command.params)
    return before if takes_value else "an argument"
