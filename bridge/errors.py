"""How an attachment ends, split by what can be done about it.

What a connection itself ends in comes from the client, whose words are used here as they are. Failures of turns are in
`bridge.runtimes.runtime`.
"""

from moltnet.client.errors import AttachRefused, ConnectionLost, single_error

__all__ = ["AttachRefused", "ConnectionLost", "Incompatible", "StateInUse", "single_error"]


class Incompatible(AttachRefused):
    """It is another network than the configured one, or a server that we cannot work with."""


class StateInUse(Exception):
    """Another process runs this attachment: its state directory is locked. `pid` is 0 if it is not known."""

    def __init__(self, agent_id: str, pid: int = 0) -> None:
        super().__init__(agent_id, pid)
        self.agent_id = agent_id
        self.pid = pid

    def __str__(self) -> str:
        return f"another node{f' (pid {self.pid})' if self.pid else ''} already runs {self.agent_id}; stop it"
