"""Plain values to the shape of a file: an attrs class whose fields are the keys that the file may have.

A shape has a default for every field, so a wrong value is reported and left at its default, and the rules of the
file still look at all the rest. What values mean is decided by those rules.
"""

import difflib
import functools
import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import attrs
from cattrs import Converter

from moltnet.config.documents import BoolWord, Document, parse_document
from moltnet.config.files import ConfigFile, read_config_file
from moltnet.config.problems import ROOT, Findings
from moltnet.config.secrets import Secret
from moltnet.protocol.codec import WrongType, explain, make_converter

T = TypeVar("T")

CommandSpec = str | tuple[str, ...]
"""A command as a file gives it: one string or a list of arguments."""

_UNKNOWN: Final = "is not a known field"
_NOT_QUOTED: Final = tuple(f"must be a string, not {kind}" for kind in ("an integer", "a number", "true or false"))
_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]")


@functools.cache
def config_converter(*, forbid_extra_keys: bool = True) -> Converter:
    """The wire's exact types, plus secrets, commands and the words that YAML files use for booleans."""
    converter = make_converter(forbid_extra_keys=forbid_extra_keys)
    strict = make_converter()

    def text(value: Any, _: Any) -> str:
        return str(value) if type(value) is BoolWord else strict.structure(value, str)

    def truth(value: Any, _: Any) -> bool:
        return value.truth if type(value) is BoolWord else strict.structure(value, bool)

    def command(value: Any, _: Any) -> CommandSpec:
        if isinstance(value, list):
            return converter.structure(value, tuple[str, ...])
        if isinstance(value, str):
            return str(value)
        raise WrongType("must be a string or a list of strings")

    converter.register_structure_hook(str, text)
    converter.register_structure_hook(bool, truth)
    converter.register_structure_hook(Secret, lambda value, _: Secret(text(value, str)))
    converter.register_structure_hook(CommandSpec, command)
    return converter


def read_shape(path: Path, kind: type[T], *, always_json: bool = False) -> tuple[ConfigFile, T, Findings]:
    """Read a file as ``kind``. What is wrong inside is in the findings; the caller raises when its rules are done.

    Raises ``ConfigError`` at once if the file cannot be read or holds no document that rules could look at.
    """
    file = read_config_file(path)
    document = parse_document(file.data, is_json=always_json or file.is_json)
    findings = Findings(path, document.lines)
    findings.add_all(document.problems)
    if document.root is None or not isinstance(document.root, dict):
        if not document.problems:
            findings.add(ROOT, "must hold keys and values")
        findings.raise_if_any()
    return file, structure(document, kind, findings), findings


def structure(document: Document, kind: type[T], findings: Findings, root: str = ROOT) -> T:
    """``document`` as ``kind``, where every wrong value is noted under ``root`` and replaced by its default."""
    try:
        return config_converter().structure(document.root, kind)
    except Exception as error:  # cattrs raises groups of whatever its hooks raise; ``explain`` names each
        problems = explain(error)
    known = set(known_keys(kind))
    pruned = document.root
    for problem in problems:
        path = root + problem.path.removeprefix(ROOT)
        if problem.message == _UNKNOWN:
            findings.add(path, _UNKNOWN + _suggestion(path, known))
            continue
        advice = " (write it in quotes)" if problem.message.startswith(_NOT_QUOTED) else ""
        findings.add(path, problem.message + advice)
        pruned = _without(pruned, steps := _steps(problem.path))
        findings.settle(root + "".join(steps[: _last_key(steps) + 1]))
    return config_converter(forbid_extra_keys=False).structure(pruned, kind)


def _steps(path: str) -> list[str]:
    return [match[0] for match in _STEP.finditer(path.removeprefix(ROOT))]


def _last_key(steps: list[str]) -> int:
    return max(index for index, step in enumerate(steps) if step.startswith("."))


def _without(value: Any, steps: list[str]) -> Any:
    """A copy of ``value`` without the innermost key on the way, so that no list changes its length."""
    step = steps[0]
    if step.startswith("["):
        index = int(step[1:-1])
        if index >= len(value):
            return value
        return [_without(item, steps[1:]) if at == index else item for at, item in enumerate(value)]
    key = step[1:]
    if key not in value:
        return value
    if any(later.startswith(".") for later in steps[1:]):
        return value | {key: _without(value[key], steps[1:])}
    return {name: item for name, item in value.items() if name != key}


def known_keys(kind: Any) -> Iterator[str]:
    """Every key that ``kind`` knows at any depth."""
    if attrs.has(kind):
        hints = typing.get_type_hints(kind)
        for field in attrs.fields(kind):
            yield field.name
            yield from known_keys(hints[field.name])
    for inner in typing.get_args(kind):
        yield from known_keys(inner)


def _suggestion(path: str, known: set[str]) -> str:
    close = difflib.get_close_matches(path.rpartition(".")[2], known, n=1, cutoff=0.75)
    return f" (did you mean {close[0]}?)" if close else ""
