"""YAML to plain values, strictly.

Loaded only when there is YAML to read: what an agent's workspace holds is JSON.
"""

import re
from collections.abc import Iterator
from typing import Any, ClassVar, Final

import yaml

from moltnet.config.problems import ROOT, Problem
from moltnet.config.walks import BoolWord, Refused, Walk

_STR: Final = "tag:yaml.org,2002:str"
_NULL: Final = "tag:yaml.org,2002:null"
_BOOL: Final = "tag:yaml.org,2002:bool"
_INT: Final = "tag:yaml.org,2002:int"
_FLOAT: Final = "tag:yaml.org,2002:float"
_MERGE: Final = "tag:yaml.org,2002:merge"
_BOOL_WORD: Final = "!bool-word"
# Characters that YAML keeps for itself, as the parser names them.
_RESERVED: Final = re.compile(r"found character '([@`%])' that cannot start any token")
# These quote kinds of tokens, never the text.
_NAMES_TOKENS: Final = ("expected <block end>, but found", "expected ',' or ", "expected the node content, but found")
_WRONG_INDENTATION: Final = "wrong indentation here or in the line above"


class _Loader(yaml.SafeLoader):
    """Scalars of YAML 1.2: no dates, no base 60, and too many digits for a number are text (a token may be such)."""

    # Starts empty instead of from the base's YAML 1.1 table.
    yaml_implicit_resolvers: ClassVar[dict[str, list[Any]]] = {}  # type: ignore[misc]  # the stubs miss ClassVar


for _tag, _pattern, _first in (
    (_NULL, r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    (_BOOL, r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    (_BOOL_WORD, r"y|Y|yes|Yes|YES|n|N|no|No|NO|on|On|ON|off|Off|OFF", list("yYnNoO")),
    (_INT, r"[-+]?[0-9]{1,18}|0o[0-7]{1,20}|0x[0-9a-fA-F]{1,16}", list("-+0123456789")),
    # Without exponents: a hexadecimal token may hold one "e" between digits.
    (_FLOAT, r"[-+]?(?:[0-9]{1,18}\.[0-9]{0,18}|\.[0-9]{1,18})", list("-+.0123456789")),
    (_MERGE, r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(_tag, re.compile(rf"(?:{_pattern})\Z"), _first)


def read_yaml(text: str, walk: Walk) -> Any:
    """The values of one document; its lines and problems go to ``walk``. Raises ``Refused``."""
    return _Nodes(walk).node(_compose(text), ROOT, 0)


def _compose(text: str) -> yaml.Node:
    try:
        loader = _Loader(text)
        try:
            root = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
        if error.context == "expected a single document in the stream":
            raise Refused(Problem(ROOT, "must hold one document, a second one starts here", line)) from None
        raise Refused(Problem(ROOT, f"is not valid YAML: {_explained(error, text)}", line)) from None
    except yaml.YAMLError as error:
        position = getattr(error, "position", None)
        line = text.count("\n", 0, position) + 1 if position is not None else None
        raise Refused(Problem(ROOT, "holds a character that YAML does not allow", line)) from None
    if root is None:
        raise Refused(Problem(ROOT, "is empty"))
    return root


def _explained(error: yaml.MarkedYAMLError, text: str) -> str:
    """What to do about the mistakes that people make most; for any other, what the parser says."""
    problem, mark = error.problem or "", error.problem_mark
    before = text[mark.index - mark.column : mark.index] if mark else ""  # on the same line
    starts_line = mark is not None and not before.strip()
    if problem.startswith("found character '\\t'"):
        return "a tab cannot indent YAML, use spaces" if starts_line else "a tab cannot stand here, use spaces"
    if found := _RESERVED.match(problem):
        return f'"{found[1]}" must be quoted'
    if problem == "mapping values are not allowed here":
        # The mark is at the colon. An earlier one on its line is the key's; without one, the key is out of place.
        return 'put the value in quotes, it holds ": "' if ": " in before else _WRONG_INDENTATION
    if problem.startswith(("expected <block end>", "expected '<document start>'")) and starts_line:
        return _WRONG_INDENTATION
    return problem if problem.startswith(_NAMES_TOKENS) else _without_quotes(problem)


def _without_quotes(problem: str) -> str:
    # The parser quotes what it read (an alias, a tag), and that may be an unquoted secret.
    return re.sub(r"\s*['\"].*['\"]", "", problem or "syntax error", flags=re.DOTALL)


class _Nodes:
    """Turns nodes into dicts, lists and scalars, noting lines and duplicate keys on the way."""

    def __init__(self, walk: Walk) -> None:
        self._walk = walk

    def node(self, node: yaml.Node, path: str, depth: int) -> Any:
        """One composed YAML node."""
        self._walk.count(depth)
        self._walk.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.node(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: str, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        for key, item in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarNode):
                self._walk.problems.append(Problem(path, "has a key that is not text", line))
                continue
            if key.tag == _MERGE:
                for source in self._merge_sources(item, path, depth):
                    for name, value in self._mapping(source, path, depth + 1).items():
                        merged.setdefault(name, value)
                continue
            inner = f"{path}.{key.value}"
            if key.value in result:
                self._walk.problems.append(Problem(inner, "is given twice", line))
            self._walk.lines[inner] = line
            result[key.value] = self.node(item, inner, depth + 1)
        return merged | result

    def _merge_sources(self, node: yaml.Node, path: str, depth: int) -> Iterator[yaml.MappingNode]:
        sources = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for source in sources:
            self._walk.count(depth + 1)
            if isinstance(source, yaml.MappingNode):
                yield source
            else:
                self._walk.problems.append(Problem(path, "merges something without keys", node.start_mark.line + 1))

    def _scalar(self, node: yaml.Node, path: str) -> Any:
        text: str = node.value
        try:
            match node.tag:
                case tag if tag == _STR:
                    return text
                case tag if tag == _BOOL_WORD:
                    return BoolWord(text)
                case tag if tag == _NULL:
                    return None
                case tag if tag == _BOOL:
                    return {"true": True, "false": False}[text.lower()]
                case tag if tag == _INT:
                    return int(text, 0) if text[:2] in ("0x", "0o") else int(text, 10)
                case tag if tag == _FLOAT:
                    return float(text)
        except (ValueError, KeyError):
            pass
        self._walk.problems.append(Problem(path, "has a type tag that is not allowed here", node.start_mark.line + 1))
        return text
