"""Wake policies of both generations, and what a place in a file inherits."""

import pytest

from moltnet.config.problems import ConfigError, Findings
from moltnet.config.wake import PolicyKeys, WakePolicy, WakeRule

ALL, MENTIONS, THREAD_ONLY, NEVER = WakePolicy.ALL, WakePolicy.MENTIONS, WakePolicy.THREAD_ONLY, WakePolicy.NEVER


def manual(on_approval: WakePolicy) -> WakeRule:
    return WakeRule(WakePolicy.MANUAL, on_approval)


@pytest.mark.parametrize(
    ("keys", "room", "direct"),
    [
        (PolicyKeys(), WakeRule(ALL), WakeRule(ALL)),
        (PolicyKeys(wake="all"), WakeRule(ALL), WakeRule(ALL)),
        (PolicyKeys(wake="mentions"), WakeRule(MENTIONS), WakeRule(ALL)),
        (PolicyKeys(wake="thread_only"), WakeRule(THREAD_ONLY), WakeRule(NEVER)),
        (PolicyKeys(wake="never"), WakeRule(NEVER), WakeRule(NEVER)),
        (PolicyKeys(read="all", reply="auto"), WakeRule(ALL), WakeRule(ALL)),
        (PolicyKeys(read="all"), WakeRule(ALL), WakeRule(ALL)),
        (PolicyKeys(reply="auto"), WakeRule(ALL), WakeRule(ALL)),
        (PolicyKeys(read="mentions", reply="auto"), WakeRule(MENTIONS), WakeRule(ALL)),
        (PolicyKeys(read="thread_only"), WakeRule(THREAD_ONLY), WakeRule(NEVER)),
        (PolicyKeys(reply="manual"), manual(ALL), manual(ALL)),
        (PolicyKeys(read="mentions", reply="manual"), manual(MENTIONS), manual(ALL)),
        (PolicyKeys(read="thread_only", reply="manual"), manual(THREAD_ONLY), manual(NEVER)),
        (PolicyKeys(read="all", reply="never"), WakeRule(NEVER), WakeRule(NEVER)),
        (PolicyKeys(read="mentions", reply="never"), WakeRule(NEVER), WakeRule(NEVER)),
    ],
)
def test_every_pair_of_the_older_keys_has_its_policy(keys: PolicyKeys, room: WakeRule, direct: WakeRule) -> None:
    assert keys.room_wake() == room
    assert keys.direct_wake() == direct


@pytest.mark.parametrize(
    ("own", "defaults", "expected"),
    [
        (PolicyKeys(), PolicyKeys(wake="mentions"), PolicyKeys(wake="mentions")),
        (PolicyKeys(), PolicyKeys(read="mentions", reply="manual"), PolicyKeys(read="mentions", reply="manual")),
        (PolicyKeys(wake="all"), PolicyKeys(read="mentions", reply="never"), PolicyKeys(wake="all")),
        (PolicyKeys(read="mentions"), PolicyKeys(wake="never"), PolicyKeys(read="mentions")),
        (
            PolicyKeys(read="mentions"),
            PolicyKeys(read="all", reply="manual"),
            PolicyKeys(read="mentions", reply="manual"),
        ),
    ],
)
def test_keys_of_one_generation_inherit_from_that_generation_only(
    own: PolicyKeys, defaults: PolicyKeys, expected: PolicyKeys
) -> None:
    assert own.inheriting(defaults) == expected


@pytest.mark.parametrize(
    ("keys", "lines"),
    [
        (PolicyKeys(wake="often"), ["f: $.x.wake: must be one of all, mentions, thread_only, never"]),
        (PolicyKeys(wake="manual"), ["f: $.x.wake: must be one of all, mentions, thread_only, never"]),
        (PolicyKeys(read="never"), ["f: $.x.read: must be one of all, mentions, thread_only"]),
        (PolicyKeys(reply="yes"), ["f: $.x.reply: must be one of auto, manual, never"]),
        (PolicyKeys(wake="all", reply="auto"), ["f: $.x.wake: cannot stand beside read or reply; use wake alone"]),
        (PolicyKeys(wake="all", read="all"), ["f: $.x.wake: cannot stand beside read or reply; use wake alone"]),
    ],
)
def test_unknown_values_and_a_mix_of_generations_are_refused(keys: PolicyKeys, lines: list[str]) -> None:
    findings = Findings("f")
    keys.checked(findings, "$.x")
    with pytest.raises(ConfigError) as caught:
        findings.raise_if_any()
    assert str(caught.value).splitlines() == lines


@pytest.mark.parametrize("wake", [WakeRule(ALL), WakeRule(MENTIONS), WakeRule(NEVER), manual(MENTIONS), manual(ALL)])
def test_a_policy_that_is_written_down_means_the_same_when_it_is_read(wake: WakeRule) -> None:
    assert PolicyKeys(**wake.keys()).room_wake() == wake
