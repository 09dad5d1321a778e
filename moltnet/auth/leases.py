"""Credentials that stay in use after they were checked: attachments and streams hold a lease, which can end.

A lease ends when its token expires, or when a reload or a rotation leaves its credential without a place in the
network. Whoever holds one runs inside ``Lease.watched``; nothing here closes a socket.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final
from weakref import WeakSet

import attrs
import trio

from moltnet.auth.claims import Claims
from moltnet.auth.policy import EXPIRED, Authenticator
from moltnet.auth.tokens import InvalidCredential

Suffices = Callable[[Claims], bool]
INSUFFICIENT: Final = "the token does not allow this any more"


@attrs.define(eq=False)
class Lease:
    """One use of a credential that lasts. ``claims`` are what it allows now; ``problem`` says why it has ended.

    ``suffices`` tells whether claims still allow this use. At most one block of ``watched`` runs at a time.
    """

    claims: Claims
    suffices: Suffices
    problem: str = attrs.field(default="", init=False)
    _expires_at: float = attrs.field(default=math.inf, init=False)
    _until: float = attrs.field(default=math.inf, init=False)
    _scope: trio.CancelScope | None = attrs.field(default=None, init=False)

    @contextmanager
    def watched(self, until: float = math.inf) -> Iterator[trio.CancelScope]:
        """Run the block until the lease ends, but not beyond ``until``, on Trio's clock."""
        with trio.CancelScope() as scope:
            self._scope, self._until = scope, until
            self._schedule()
            try:
                yield scope
            finally:
                self._scope = None
        self._note_expiry()

    def watch(self, scope: trio.CancelScope) -> None:
        """Cancel this scope when the lease ends, until ``unwatch``: ``watched`` for who has a scope anyway."""
        self._scope, self._until = scope, math.inf
        self._schedule()

    def unwatch(self) -> None:
        self._scope = None
        self._note_expiry()

    def renew(self, authenticator: Authenticator) -> None:
        """Look again at what the credential is worth."""
        if self.problem:
            return
        try:
            self.claims = authenticator.renewed(self.claims)
        except InvalidCredential as gone:
            self.problem = str(gone)
        else:
            if not self.suffices(self.claims):
                self.problem = INSUFFICIENT
        self._expires_at = math.inf
        if self.claims.expires_at is not None:
            left_seconds = (self.claims.expires_at - authenticator.clock()).total_seconds()
            self._expires_at = trio.current_time() + left_seconds
        self._schedule()

    def _note_expiry(self) -> None:
        if trio.current_time() >= self._expires_at:
            self.problem = self.problem or EXPIRED

    def _schedule(self) -> None:
        if self._scope is None:
            return
        self._scope.deadline = min(self._until, self._expires_at)
        if self.problem:
            self._scope.cancel(reason=self.problem)


@attrs.define(eq=False)
class Leases:
    """All leases of a network; one that nobody holds any more is forgotten.

    ``renewals`` is how often all were looked at again: as long as it is the same, so are their claims.
    """

    authenticator: Authenticator
    renewals: int = attrs.field(default=0, init=False)
    _leases: WeakSet[Lease] = attrs.field(factory=WeakSet, init=False)

    def grant(self, claims: Claims, suffices: Suffices = lambda _: True) -> Lease:
        """Begin a lease. Raises ``InvalidCredential`` if the credential has died since it was checked."""
        lease = Lease(claims, suffices)
        lease.renew(self.authenticator)
        if lease.problem:
            raise InvalidCredential(lease.problem)
        self._leases.add(lease)
        return lease

    def renew(self, authenticator: Authenticator | None = None) -> int:
        """Look at every lease again, with other tokens and switches if some are given; returns how many ended."""
        if authenticator is not None:
            self.authenticator = authenticator
        self.renewals += 1
        living = [lease for lease in self._leases if not lease.problem]
        for lease in living:
            lease.renew(self.authenticator)
        return sum(bool(lease.problem) for lease in living)
