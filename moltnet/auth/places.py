"""How many of something may exist at the same time: in all, and for each key. Taking a place never waits."""

import attrs


class NoPlace(Exception):
    """All places are taken. ``is_shared`` tells whether that is so for everybody, or for this key alone."""

    def __init__(self, *, is_shared: bool) -> None:
        super().__init__("all places are taken" if is_shared else "all places of this key are taken")
        self.is_shared = is_shared


@attrs.define(eq=False)
class Places:
    """Counts what exists. ``None`` means without limit.

    The empty key is nobody in particular and has no limit of its own. A key takes memory only as long as it holds a
    place. A limit that is lowered ends nothing that exists.
    """

    total: int | None = None
    per_key: int | None = None
    _taken: int = attrs.field(default=0, init=False)
    _taken_by: dict[str, int] = attrs.field(factory=dict, init=False)

    def __len__(self) -> int:
        """How many are taken."""
        return self._taken

    def taken_by(self, key: str) -> int:
        return self._taken_by.get(key, 0)

    def check(self, key: str, elsewhere: int = 0) -> None:
        """Raises ``NoPlace`` if there is none for ``key``, which holds some ``elsewhere``."""
        if key and self.per_key is not None and self.taken_by(key) + elsewhere >= self.per_key:
            raise NoPlace(is_shared=False)
        if self.total is not None and self._taken >= self.total:
            raise NoPlace(is_shared=True)

    def take(self, key: str, elsewhere: int = 0) -> None:
        """Take a place, to be left again. Raises ``NoPlace``."""
        self.check(key, elsewhere)
        self._taken += 1
        self._taken_by[key] = self.taken_by(key) + 1

    def leave(self, key: str) -> None:
        self._taken -= 1
        self._taken_by[key] -= 1
        if not self._taken_by[key]:
            del self._taken_by[key]
