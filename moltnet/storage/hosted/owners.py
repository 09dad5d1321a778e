"""Which guest of a host has the work that only one may do, by name: the first that asked, and then the next."""

from collections import deque

import attrs
import trio


@attrs.frozen(eq=False)
class _Claim:
    guest_id: str
    granted: trio.Event = attrs.field(init=False, factory=trio.Event)


@attrs.define(eq=False)
class Owners:
    """For each name a queue of claims, of which the first has it. Tasks of one guest take turns before they ask."""

    _claims: dict[str, deque[_Claim]] = attrs.field(init=False, factory=dict)

    async def own(self, guest_id: str, name: str) -> None:
        """Wait until the guest has ``name``. Cancelled, it neither has it nor waits."""
        await trio.lowlevel.checkpoint()  # whoever was cancelled before claims nothing
        claim = _Claim(guest_id)
        claims = self._claims.setdefault(name, deque())
        claims.append(claim)
        self._grant(name)
        if not claim.granted.is_set():
            try:
                await claim.granted.wait()
            except trio.Cancelled:
                self.disown(guest_id, name)
                raise

    def disown(self, guest_id: str, name: str) -> None:
        """The guest neither has ``name`` nor waits for it any more; the next one has it."""
        claims = self._claims.get(name, ())
        self._claims[name] = deque(claim for claim in claims if claim.guest_id != guest_id)
        self._grant(name)

    def lose(self, guest_id: str) -> None:
        """A guest is dead."""
        for name in tuple(self._claims):
            self.disown(guest_id, name)

    def _grant(self, name: str) -> None:
        if self._claims[name]:
            self._claims[name][0].granted.set()
        else:
            del self._claims[name]
