"""What a pairing's status allows, when it must be asked for anew, and which changes are told."""

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from moltnet.config.settings import PairingSettings
from moltnet.pairing.diagnostics import AGENTS_FAILED, NETWORK_FAILED, RELAY_FAILED, Status
from moltnet.pairing.limits import REFUSAL_SECONDS, STATUS_SECONDS
from moltnet.pairing.status import PairingStatus
from moltnet.protocol.network import SPOKEN_PROTOCOLS, Capabilities, Network
from moltnet.protocol.pairings import Pairing

FITTING = Network(
    id="net_b",
    version="1",
    protocols=SPOKEN_PROTOCOLS,
    capabilities=Capabilities(direct_messages=True, message_pagination="cursor"),
)
NO_CURSOR = attrs.evolve(FITTING, capabilities=Capabilities(direct_messages=True))
NO_DIRECTS = attrs.evolve(FITTING, capabilities=Capabilities(message_pagination="cursor"))
OTHER = attrs.evolve(FITTING, id="net_c")


@attrs.define(eq=False)
class Watched:
    """A status with a clock of its own, and the changes that it told."""

    status: PairingStatus
    told: list[Pairing]
    now: float = 0.0


def watched(**settings: Any) -> Watched:
    told: list[Pairing] = []
    seen = Watched.__new__(Watched)
    status = PairingStatus(
        PairingSettings("b", "https://b.test", "net_b", **settings), "lab", told.append, clock=lambda: seen.now
    )
    Watched.__init__(seen, status, told)
    return seen


def lost_and_found(status: PairingStatus) -> None:
    status.check_failed("gone")
    status.succeeded()


RELAYING: list[tuple[Callable[[PairingStatus], object], bool, bool]] = [
    (lambda status: None, False, False),
    (lambda status: status.checked(FITTING), True, True),
    (lambda status: status.checked(NO_DIRECTS), True, False),
    (lambda status: status.checked(NO_CURSOR, discovery=True), True, True),
    (lambda status: status.checked(OTHER), False, False),
    (lambda status: status.check_failed("gone"), False, False),
    (lambda status: lost_and_found(status), True, True),
]


@pytest.mark.parametrize(("happens", "rooms", "directs"), RELAYING)
def test_what_may_be_relayed_follows_from_the_status(
    happens: Callable[[PairingStatus], object], rooms: bool, directs: bool
) -> None:
    status = watched().status
    happens(status)
    assert (status.may_relay("room"), status.may_relay("thread"), status.may_relay("dm")) == (rooms, rooms, directs)


def test_a_status_is_asked_for_anew_when_it_is_old_unknown_or_bad() -> None:
    seen = watched()
    assert seen.status.refresh_due(0)
    seen.status.checked(FITTING)
    assert not seen.status.refresh_due(STATUS_SECONDS - 1)
    assert seen.status.refresh_due(STATUS_SECONDS)
    seen.status.failed("lost")
    assert seen.status.refresh_due(0)


def test_a_status_of_the_file_is_only_where_it_begins() -> None:
    status = watched(status="connected", diagnostics={"checked_at": "2026-01-01T00:00:00Z", "reason": "because"}).status
    assert status.may_relay("room")
    assert status.refresh_due(0)  # nobody has checked
    assert status.pairing.diagnostics is not None
    assert status.pairing.diagnostics.reason == "because"


def test_another_word_in_the_file_switches_a_pairing_off_until_somebody_looks() -> None:
    status = watched(status="paused").status
    assert status.is_off
    assert not status.refresh_due(1e9)
    assert not status.may_relay("room")
    status.checked(FITTING)
    assert status.may_relay("room")


def test_a_disabled_pairing_stays_disabled_whatever_happens() -> None:
    seen = watched(enabled=False)
    assert seen.status.pairing.status == Status.DISABLED
    seen.status.checked(FITTING)
    seen.status.failed("lost")
    seen.status.succeeded()
    assert seen.status.is_off
    assert seen.status.pairing.status == Status.DISABLED


def test_weakness_8_the_same_again_is_told_to_nobody() -> None:
    seen = watched()
    for _ in range(5):
        seen.status.checked(FITTING)
        seen.status.succeeded()
    assert [pairing.status for pairing in seen.told] == ["connected"]
    for _ in range(5):
        seen.status.check_failed("gone")
    assert [pairing.status for pairing in seen.told] == ["connected", "error"]
    seen.status.failed("gone")
    assert [pairing.diagnostics.message for pairing in seen.told if pairing.diagnostics][1:] == [
        NETWORK_FAILED,
        RELAY_FAILED,
    ]
    seen.status.failed("gone", message=AGENTS_FAILED)
    seen.status.checked(attrs.evolve(FITTING, version="2"))
    assert len(seen.told) == 5


def test_only_a_check_that_needs_cursors_finds_that_they_are_there_again() -> None:
    status = watched().status
    status.checked(NO_CURSOR, discovery=True)
    status.checked(FITTING)
    assert status.pairing.status == Status.DEGRADED
    status.checked(FITTING, discovery=True)
    assert status.pairing.status == Status.CONNECTED


def test_a_success_does_not_hide_what_a_check_found() -> None:
    status = watched().status
    for network, found in ((NO_DIRECTS, Status.DEGRADED), (OTHER, Status.INCOMPATIBLE)):
        status.checked(network)
        status.succeeded()  # of a message that was on its way meanwhile
        assert status.pairing.status == found


def test_a_check_that_passes_says_nothing_while_messages_are_refused() -> None:
    """Else the status would go back and forth with each try."""
    seen = watched()
    seen.status.checked(FITTING)
    for _ in range(3):
        seen.status.refused("answered 403")
        assert (seen.status.status, seen.status.may_relay("room")) == (Status.ERROR, True)
        seen.now += STATUS_SECONDS / 10
        seen.status.checked(FITTING)
    assert [each.status for each in seen.told] == ["connected", "error"]
    seen.status.succeeded()
    assert [each.status for each in seen.told] == ["connected", "error", "connected"]


def test_a_refused_network_that_changes_meanwhile_is_what_it_is() -> None:
    seen = watched()
    seen.status.checked(FITTING)
    seen.status.refused("answered 403")
    seen.status.checked(NO_DIRECTS)
    assert (seen.status.status, seen.status.may_relay("dm"), seen.status.may_relay("room")) == ("error", False, True)
    seen.status.succeeded()
    assert seen.status.status == Status.DEGRADED
    seen.status.refused("answered 403")
    seen.status.checked(OTHER)
    assert (seen.status.status, seen.status.may_relay("room")) == (Status.INCOMPATIBLE, False)


def test_a_refusal_is_not_believed_for_ever() -> None:
    """Another server of this network may relay by now, and this one sends nothing any more."""
    seen = watched()
    seen.status.checked(FITTING)
    seen.status.refused("answered 401")
    seen.now += REFUSAL_SECONDS
    assert seen.status.refresh_due(seen.now)
    seen.status.checked(FITTING)
    assert seen.status.status == Status.CONNECTED


def test_a_failed_call_ends_a_refusal() -> None:
    seen = watched()
    seen.status.checked(FITTING)
    seen.status.refused("answered 401")
    seen.status.check_failed("gone")
    assert not seen.status.may_relay("room")
    seen.status.checked(FITTING)
    assert seen.status.status == Status.CONNECTED
