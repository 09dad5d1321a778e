"""Whether there is a fast lane: on, unless ``MOLTNET_FASTLANE=0`` says otherwise, for comparisons and for doubts."""

from collections.abc import Mapping
from typing import Final

VARIABLE: Final = "MOLTNET_FASTLANE"
_OFF: Final = frozenset({"0", "off", "no", "false"})


def is_wanted(environ: Mapping[str, str]) -> bool:
    return environ.get(VARIABLE, "").strip().lower() not in _OFF
