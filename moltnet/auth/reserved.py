"""Agent ids that the operator keeps: nobody claims them without the operator's leave."""

import re
from collections.abc import Iterable
from fnmatch import translate

import attrs


def _compiled(patterns: Iterable[str]) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(translate(pattern), re.IGNORECASE) for pattern in patterns)


@attrs.frozen
class ReservedNames:
    """Ids and patterns, where ``*`` stands for any text and ``?`` for one character. Case makes no difference.

    ``Admin`` beside a reserved ``admin`` would fool people as well as the same name does.
    """

    _patterns: tuple[re.Pattern[str], ...] = attrs.field(factory=tuple, converter=_compiled)

    def __contains__(self, agent_id: str) -> bool:
        return any(pattern.match(agent_id) for pattern in self._patterns)
