"""Text of a configuration file to plain values: YAML or JSON, strictly.

Reports duplicate keys, further documents, tags and whatever the format does not allow, and knows the line of every
key. What the keys mean is decided by ``shapes`` and the rules of each file.
"""

import json
from collections.abc import Mapping
from typing import Any, NoReturn

import attrs

from moltnet.config.json_lines import json_lines
from moltnet.config.limits import MAX_CONFIG_DEPTH
from moltnet.config.problems import ROOT, Problem
from moltnet.config.walks import Refused, Walk


@attrs.frozen
class Document:
    """The values of one file. ``root`` is ``None`` if the text could not be read at all; ``problems`` then says why."""

    root: Any
    lines: Mapping[str, int] = attrs.field(factory=dict)
    problems: tuple[Problem, ...] = ()


def parse_document(data: bytes, *, is_json: bool) -> Document:
    """Read one document; never raises for what ``data`` holds."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return Document(None, problems=(Problem(ROOT, "is not UTF-8 text", line),))
    if not text.strip():
        return Document(None, problems=(Problem(ROOT, "is empty"),))
    walk = Walk()
    try:
        if is_json:
            root = _value(_parse_json(text), ROOT, walk)
            walk.lines |= json_lines(text)
        else:
            # A tenth of what `moltnet send` loads, and its own file is JSON.
            from moltnet.config.yaml_documents import read_yaml

            root = read_yaml(text, walk)
    except Refused as refusal:
        return Document(None, walk.lines, (*walk.problems, *refusal.args))
    except RecursionError:
        return Document(None, problems=(Problem(ROOT, f"is nested deeper than {MAX_CONFIG_DEPTH} levels"),))
    return Document(root, walk.lines, tuple(walk.problems))


class _Pairs(list[tuple[str, Any]]):
    """A JSON object whose repeated keys are still there."""


def _parse_json(text: str) -> Any:
    def refuse_constant(_: str) -> NoReturn:
        raise ValueError

    try:
        return json.loads(text, object_pairs_hook=_Pairs, parse_constant=refuse_constant)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            raise Refused(Problem(ROOT, "must hold one document, something follows it", error.lineno)) from None
        raise Refused(Problem(ROOT, f"is not valid JSON: {error.msg}", error.lineno)) from None
    except ValueError:
        raise Refused(Problem(ROOT, "is not valid JSON: a number is not finite or has too many digits")) from None


def _value(value: Any, path: str, walk: Walk, depth: int = 0) -> Any:
    """One parsed JSON value, as dicts, lists and scalars; duplicate keys are noted on the way."""
    walk.count(depth)
    if isinstance(value, _Pairs):
        result: dict[str, Any] = {}
        for key, item in value:
            if key in result:
                walk.problems.append(Problem(f"{path}.{key}", "is given twice"))
            result[key] = _value(item, f"{path}.{key}", walk, depth + 1)
        return result
    if isinstance(value, list):
        return [_value(item, f"{path}[{index}]", walk, depth + 1) for index, item in enumerate(value)]
    return value
