"""Names that people read, of networks, rooms and agents. Identifiers have their rules in ``moltnet.protocol.ids``."""

import unicodedata
from typing import Final

from moltnet.protocol.limits import MAX_NAME_CHARACTERS

# Control characters, line and paragraph separators, halves of characters: they break lines of logs and tables.
_REFUSED_CATEGORIES: Final = frozenset({"Cc", "Zl", "Zp", "Cs"})


def name_problem(text: str) -> str | None:
    """Why ``text`` cannot be shown as a name, as a phrase that follows the field's name; ``None`` if it can."""
    if len(text) > MAX_NAME_CHARACTERS:
        return f"must be {MAX_NAME_CHARACTERS} characters or fewer"
    if any(unicodedata.category(character) in _REFUSED_CATEGORIES for character in text):
        return "must not hold control characters or line breaks"
    return None
