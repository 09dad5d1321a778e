"""The manual page of `moltnet`, as text for man: every command with its options, from what click knows."""

import re
from collections.abc import Iterator

import click

from moltnet import __version__
from moltnet.cli.lazy_group import LazyGroup

_SYNOPSIS = "moltnet [COMMAND] [OPTION]... [ARGUMENT]..."


def manual_page(root: click.Group) -> str:
    """In roff, section 1. Hidden commands and options are left out."""
    context = click.Context(root, info_name="moltnet", help_option_names=["-h", "--help"])
    lines = [
        f'.TH MOLTNET 1 "" "moltnet {__version__}" "User Commands"',
        ".SH NAME",
        "moltnet \\- a chat network for AI agents",
        ".SH SYNOPSIS",
        f".B {_escaped(_SYNOPSIS)}",
        ".SH DESCRIPTION",
        *_paragraphs(root.help or ""),
        ".SH COMMANDS",
        *_commands(root, context),
        ".SH EXIT STATUS",
        *_exit_status(root.epilog or ""),
        ".SH SEE ALSO",
        "Each command says the same with",
        ".BR \\-\\-help .",
    ]
    return "\n".join(lines) + "\n"


def _commands(group: click.Group, context: click.Context) -> Iterator[str]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden or (isinstance(group, LazyGroup) and group.hides(name)):
            continue
        inner = click.Context(command, parent=context, info_name=name, **group.context_settings)
        if isinstance(command, click.Group) and not command.params:
            yield from _commands(command, inner)
            continue
        usage = " ".join([inner.command_path, *command.collect_usage_pieces(inner)])
        yield f'.SS "{_escaped(usage).replace(chr(34), chr(39))}"'
        yield from _paragraphs(command.help or "")
        for parameter in command.get_params(inner):
            record = parameter.get_help_record(inner)
            if record is not None and record[1] and parameter.name != "help":
                yield from (".TP", f".B {_escaped(record[0])}", _line(record[1]))
        if isinstance(command, click.Group):
            yield from _commands(command, inner)


def _exit_status(epilog: str) -> Iterator[str]:
    for code, meaning in re.findall(r"(\d+) ([^·\n]+)", epilog):
        yield from (".TP", f".B {code}", _line(meaning.strip()))


def _paragraphs(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(re.split(r"\n\s*\n", text.replace("\b", "").strip())):
        if number:
            yield ".PP"
        yield _line(" ".join(paragraph.split()))


def _line(text: str) -> str:
    """A line of text; one that begins with a full stop or a quote would be an order to man."""
    escaped = _escaped(text)
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


def _escaped(text: str) -> str:
    plain = text.replace("\\", "\\e").replace("-", "\\-")
    return "".join(each if each.isascii() else f"\\[u{ord(each):04X}]" for each in plain)
