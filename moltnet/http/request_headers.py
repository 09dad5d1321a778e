"""The headers of a request, as rules look at them, whoever has parsed them. No framework in here."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Self

import attrs

_NOTHING_REPEATED: Final[Mapping[bytes, Sequence[bytes]]] = {}


@attrs.frozen
class RequestHeaders:
    """Values by lower-case name: the first of each, and all of those that came more than once."""

    first: Mapping[bytes, bytes]
    repeated: Mapping[bytes, Sequence[bytes]] = _NOTHING_REPEATED

    @classmethod
    def of(cls, fields: Iterable[tuple[bytes, bytes]]) -> Self:
        """What an ASGI scope tells."""
        first: dict[bytes, bytes] = {}
        repeated: dict[bytes, list[bytes]] = {}
        for name, value in fields:
            name = name.lower()
            if name not in first:
                first[name] = value
            else:
                repeated.setdefault(name, [first[name]]).append(value)
        return cls(first, repeated)

    def __contains__(self, name: bytes) -> bool:
        return name in self.first

    def get(self, name: bytes) -> str | None:
        """The first value of a header; ``None`` if it did not come."""
        value = self.first.get(name)
        return None if value is None else value.decode("latin-1")

    def every(self, name: bytes) -> Sequence[bytes]:
        """All values of a header, in order."""
        values = self.repeated.get(name)
        if values is None:
            return (self.first[name],) if name in self.first else ()
        return values

    def all_of(self, name: bytes, separator: bytes = b", ") -> str:
        """A header that is a list, which may be given in pieces; empty if it did not come."""
        return separator.join(self.every(name)).decode("latin-1")
