"""What reading a document, YAML or JSON, comes to: plain values, the lines of keys, and what is wrong with it."""

import attrs

from moltnet.config.limits import MAX_CONFIG_DEPTH, MAX_CONFIG_VALUES
from moltnet.config.problems import ROOT, Problem


class BoolWord(str):
    """A plain ``yes``, ``no``, ``on`` or ``off``: text, or a boolean where the field is one (YAML 1.1 has them)."""

    __slots__ = ()

    @property
    def truth(self) -> bool:
        return self.lower() in ("y", "yes", "on")


class Refused(Exception):
    """The document cannot be walked to its end."""


@attrs.define(eq=False)
class Walk:
    """Lines and problems that were found on the way through a document."""

    lines: dict[str, int] = attrs.field(factory=dict)
    problems: list[Problem] = attrs.field(factory=list)
    _values: int = 0

    def count(self, depth: int) -> None:
        """One more value. Raises ``Refused`` if there are too many, or it lies too deep."""
        self._values += 1
        if self._values > MAX_CONFIG_VALUES:
            raise Refused(Problem(ROOT, f"holds more than {MAX_CONFIG_VALUES} values"))
        if depth > MAX_CONFIG_DEPTH:
            raise Refused(Problem(ROOT, f"is nested deeper than {MAX_CONFIG_DEPTH} levels"))
