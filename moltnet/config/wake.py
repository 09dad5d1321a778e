"""What wakes an agent, as configuration files say it, in both generations of keys (node and bridge §7).

Whether a given message wakes an agent is decided by ``bridge.policy``. Shared by node, bridge and client files.
"""

from enum import StrEnum
from typing import Final

import attrs

from moltnet.config.problems import Findings


class WakePolicy(StrEnum):
    """``MANUAL`` holds a wake until an operator approves it (``reply: manual`` of the older keys)."""

    ALL = "all"
    MENTIONS = "mentions"
    THREAD_ONLY = "thread_only"
    NEVER = "never"
    MANUAL = "manual"


WAKE_VALUES: Final = ("all", "mentions", "thread_only", "never")
READ_VALUES: Final = ("all", "mentions", "thread_only")
REPLY_VALUES: Final = ("auto", "manual", "never")


@attrs.frozen
class WakeRule:
    """A policy and, if it is ``MANUAL``, the policy that holds for messages once an operator approved."""

    policy: WakePolicy = WakePolicy.ALL
    on_approval: WakePolicy | None = None

    def keys(self) -> dict[str, str]:
        """The keys that say this in a file. Only the older ones can say that an approval is needed."""
        if self.policy is WakePolicy.MANUAL:
            return {"read": str(self.on_approval or WakePolicy.ALL), "reply": "manual"}
        return {"wake": str(self.policy)}


@attrs.frozen
class PolicyKeys:
    """The policy keys of one place in a file: ``wake``, or the older ``read`` with ``reply``. Empty text is not set."""

    wake: str = ""
    read: str = ""
    reply: str = ""

    def checked(self, findings: Findings, path: str) -> "PolicyKeys":
        """Trimmed; unsupported values and a mix of both generations are noted."""
        keys = PolicyKeys(self.wake.strip(), self.read.strip(), self.reply.strip())
        for name, value, allowed in (
            ("wake", keys.wake, WAKE_VALUES),
            ("read", keys.read, READ_VALUES),
            ("reply", keys.reply, REPLY_VALUES),
        ):
            if value and value not in allowed:
                findings.add(f"{path}.{name}", f"must be one of {', '.join(allowed)}")
                findings.settle(f"{path}.{name}")
        if keys.wake and (keys.read or keys.reply):
            findings.add(f"{path}.wake", "cannot stand beside read or reply; use wake alone")
        return keys

    def inheriting(self, defaults: "PolicyKeys") -> "PolicyKeys":
        """These keys, completed from ``defaults``. Keys of one generation take nothing from the other."""
        if self.wake:
            return self
        if self.read or self.reply:
            return PolicyKeys(read=self.read or defaults.read, reply=self.reply or defaults.reply)
        return defaults

    def room_wake(self) -> WakeRule:
        """The policy for a room and its threads."""
        if self.wake:
            return WakeRule(_policy(self.wake))
        wanted = _policy(self.read)
        match self.reply:
            case "manual":
                return WakeRule(WakePolicy.MANUAL, on_approval=wanted)
            case "" | "auto":
                return WakeRule(wanted)
            case _:
                return WakeRule(WakePolicy.NEVER)

    def direct_wake(self) -> WakeRule:
        """The policy for direct messages. Each is addressed to the agent, so ``mentions`` means ``all``."""
        wake = self.room_wake()
        if wake.on_approval is not None:
            return WakeRule(WakePolicy.MANUAL, on_approval=_direct(wake.on_approval))
        return WakeRule(_direct(wake.policy))


def _policy(text: str) -> WakePolicy:
    # A value that is not supported was noted before; until the file is refused it wakes nobody.
    if not text:
        return WakePolicy.ALL
    return WakePolicy(text) if text in WAKE_VALUES else WakePolicy.NEVER


def _direct(policy: WakePolicy) -> WakePolicy:
    return WakePolicy.ALL if policy in (WakePolicy.ALL, WakePolicy.MENTIONS) else WakePolicy.NEVER
