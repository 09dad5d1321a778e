"""Who is attached right now, and whether another attachment of the same agent may come in (attach protocol §3)."""

from collections.abc import Iterator
from contextlib import contextmanager

import attrs

from moltnet.auth.claims import ANONYMOUS_KEY
from moltnet.core.errors import Conflict
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.ids import AgentId


@attrs.define(eq=False)
class Registry:
    """Live attachments: for each agent the credential key that they share, and how many there are."""

    _keys: dict[AgentId, str] = attrs.field(init=False, factory=dict)
    _counts: dict[AgentId, int] = attrs.field(init=False, factory=dict)

    def __len__(self) -> int:
        return sum(self._counts.values())

    def is_connected(self, agent_id: AgentId) -> bool:
        return agent_id in self._counts

    @contextmanager
    def attached(self, agent_id: AgentId, key: str) -> Iterator[None]:
        """Count an attachment for as long as the block runs. Never waits, so that releasing it can't be cut off.

        The same credential may attach any number of times; without credentials an agent attaches once. Raises
        ``Conflict`` otherwise.
        """
        present = self._keys.get(agent_id)
        if present is not None and ANONYMOUS_KEY in (present, key):
            raise Conflict(
                ErrorCode.AGENT_ATTACHED_ELSEWHERE,
                f'agent "{agent_id}" already has an active attachment; attach with an actor credential to reconnect',
            )
        if present not in (None, key):
            raise Conflict(
                ErrorCode.AGENT_ATTACHED_ELSEWHERE, f'agent "{agent_id}" is already attached with different credentials'
            )
        self._keys[agent_id] = key
        self._counts[agent_id] = self._counts.get(agent_id, 0) + 1
        try:
            yield
        finally:
            self._counts[agent_id] -= 1
            if not self._counts[agent_id]:
                del self._counts[agent_id], self._keys[agent_id]
