"""The rules of a ``brakes`` block: what may be asked for, and what an attachment takes from the file around it.

What the numbers mean while turns run is said by ``bridge.brakes``.
"""

from bridge import limits
from bridge.attachment_file import BrakeKeys
from bridge.settings import BrakeSettings
from moltnet.config.problems import Findings
from moltnet.protocol.limits import LONGEST_APPROVAL_SECONDS


def brake_settings(keys: BrakeKeys, defaults: BrakeSettings, findings: Findings, path: str) -> BrakeSettings:
    """``keys`` at ``path``, completed from ``defaults``; a number out of range is noted."""
    check_range(keys.parallel_turns, limits.MAX_PARALLEL_TURNS, findings, f"{path}.parallel_turns")
    check_range(keys.turns_per_hour, limits.MAX_TURNS_PER_HOUR, findings, f"{path}.turns_per_hour")
    check_range(keys.approval_seconds, LONGEST_APPROVAL_SECONDS, findings, f"{path}.approval_seconds")
    cooldown = keys.cooldown_seconds
    if cooldown is not None and not 0 <= cooldown <= limits.MAX_COOLDOWN_SECONDS:
        findings.add(f"{path}.cooldown_seconds", f"must be from 0 to {limits.MAX_COOLDOWN_SECONDS:g}")
    return BrakeSettings(
        parallel_turns=defaults.parallel_turns if keys.parallel_turns is None else keys.parallel_turns,
        cooldown_seconds=defaults.cooldown_seconds if cooldown is None else cooldown,
        turns_per_hour=defaults.turns_per_hour if keys.turns_per_hour is None else keys.turns_per_hour,
        approval_seconds=defaults.approval_seconds if keys.approval_seconds is None else keys.approval_seconds,
    )


def check_range(number: int | None, most: int, findings: Findings, path: str) -> None:
    """Note a count that is not from 1 to ``most``; ``None`` is no count."""
    if number is not None and not 1 <= number <= most:
        findings.add(path, f"must be from 1 to {most}")
