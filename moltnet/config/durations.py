"""Lengths of time as configuration files write them: ``90s``, ``12h``, ``1d12h``."""

import re
from typing import Final

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 24 * 3600, "w": 7 * 24 * 3600}
_PART: Final = re.compile(r"([0-9]{1,9})([smhdw])")


def parse_duration(text: str) -> int:
    """Seconds. Raises ``ValueError`` with a phrase that follows the field's name."""
    parts = _PART.findall(text.strip())
    if not parts or "".join(number + unit for number, unit in parts) != text.strip():
        raise ValueError("must be a length of time with units s, m, h, d or w, such as 7d or 12h")
    return sum(int(number) * _SECONDS[unit] for number, unit in parts)
