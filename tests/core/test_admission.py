"""What is admitted, with a clock of the test's own: by credential, by source, and in all."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import attrs
import pytest
from prometheus_client import CollectorRegistry

from moltnet.auth.claims import ANONYMOUS, UNCHECKED, Claims
from moltnet.config.server_limits import CAPS_ONLY, DEFAULT_LIMITS, NO_LIMITS, LimitSettings, Rate
from moltnet.core.admission import Admission, Limit
from moltnet.core.errors import RateLimited
from moltnet.metrics import LIMITS, LimitMetrics
from moltnet.protocol import limits as wire
from moltnet.protocol.errors import ErrorCode
from tests.fakes.credentials import static

HERE, THERE = "192.0.2.1", "192.0.2.2"
ALPHA, BETA = static("attach write", "alpha"), static("attach write", "beta", token_id="other")


@attrs.define
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def admission(limits: LimitSettings = NO_LIMITS, **changed: Any) -> Admission:
    return Admission(attrs.evolve(limits, **changed), clock=Clock())


def admitted(ask: Callable[[], object], most: int = 100) -> int:
    """How often in a row something is admitted."""
    for number in range(most):
        try:
            ask()
        except RateLimited:
            return number
    return most


def held(open_place: Callable[[], AbstractContextManager[None]], stack: ExitStack, most: int = 100) -> int:
    return admitted(lambda: stack.enter_context(open_place()), most)


class TestRequests:
    def test_a_credential_is_counted_wherever_it_comes_from(self) -> None:
        asked = admission(requests_per_credential=Rate(1, 5), requests_per_address=Rate(1, 3))
        assert admitted(lambda: asked.admit_request(ALPHA, HERE)) == 5
        assert admitted(lambda: asked.admit_request(ALPHA, THERE)) == 0
        assert admitted(lambda: asked.admit_request(BETA, HERE)) == 5

    def test_who_has_none_is_counted_by_its_address(self) -> None:
        asked = admission(requests_per_credential=Rate(1, 5), requests_per_address=Rate(1, 3))
        assert admitted(lambda: asked.admit_request(ANONYMOUS, HERE)) == 3
        assert admitted(lambda: asked.admit_request(ANONYMOUS, THERE)) == 3

    def test_where_nobody_has_one_an_address_may_do_what_a_credential_may(self) -> None:
        asked = admission(requests_per_credential=Rate(1, 5), requests_per_address=Rate(1, 3))
        assert admitted(lambda: asked.admit_request(UNCHECKED, HERE)) == 5
        assert admitted(lambda: asked.admit_request(UNCHECKED, THERE)) == 5

    def test_a_refusal_says_when_to_come_back_and_then_it_is_so(self) -> None:
        clock = Clock()
        asked = Admission(attrs.evolve(NO_LIMITS, requests_per_credential=Rate(0.5, 1)), clock=clock)
        asked.admit_request(ALPHA, HERE)
        with pytest.raises(RateLimited) as refused:
            asked.admit_request(ALPHA, HERE)
        assert refused.value.retry_after_seconds == 2
        assert refused.value.code is ErrorCode.RATE_LIMITED
        clock.now += 2
        asked.admit_request(ALPHA, HERE)

    def test_messages_have_a_rate_of_their_own(self) -> None:
        asked = admission(messages_per_credential=Rate(1, 4))
        assert admitted(lambda: asked.admit_message(ALPHA, HERE)) == 4
        assert admitted(lambda: asked.admit_message(BETA, HERE)) == 4
        assert admitted(lambda: asked.admit_request(ALPHA, HERE)) == 100


class TestGuessing:
    def test_an_address_that_shows_bad_tokens_is_not_looked_at_any_more(self) -> None:
        asked = admission(failed_authentications_per_address=Rate(0.1, 3))
        for _ in range(3):
            asked.check_guesses(HERE)
            asked.note_failed_authentication(HERE)
        with pytest.raises(RateLimited) as refused:
            asked.check_guesses(HERE)
        assert refused.value.retry_after_seconds == pytest.approx(10)
        asked.check_guesses(THERE)

    def test_good_tokens_never_count(self) -> None:
        asked = admission(failed_authentications_per_address=Rate(0.1, 1))
        for _ in range(100):
            asked.check_guesses(HERE)


class TestRegistrations:
    @pytest.mark.parametrize("claims", [ANONYMOUS, UNCHECKED])
    def test_without_a_credential_an_address_has_only_so_many(self, claims: Claims) -> None:
        asked = admission(registrations_per_address=Rate(1 / 3600, 3))
        assert admitted(lambda: asked.admit_registration(claims, HERE)) == 3
        assert admitted(lambda: asked.admit_registration(claims, THERE)) == 3

    def test_with_one_they_are_the_operators_affair(self) -> None:
        asked = admission(registrations_per_address=Rate(1 / 3600, 3))
        assert admitted(lambda: asked.admit_registration(ALPHA, HERE)) == 100


class TestPlaces:
    def test_attachments(self) -> None:
        asked = admission(attachments=7, attachments_per_credential=3)
        with ExitStack() as stack:
            assert held(lambda: asked.attachment(ALPHA, HERE), stack) == 3
            assert held(lambda: asked.attachment(BETA, HERE), stack) == 3
            assert held(lambda: asked.attachment(ANONYMOUS, HERE), stack) == 1
            assert len(asked.attachments) == 7
        assert len(asked.attachments) == 0

    def test_handshakes(self) -> None:
        asked = admission(pending_handshakes=3, pending_handshakes_per_address=2)
        with ExitStack() as stack:
            assert held(lambda: asked.handshake(HERE), stack) == 2
            assert held(lambda: asked.handshake(THERE), stack) == 1
        assert len(asked.handshakes) == 0

    def test_streams_have_a_code_of_their_own(self) -> None:
        asked = admission(streams=5, streams_per_caller=2)
        with ExitStack() as stack:
            assert held(lambda: asked.stream(ALPHA, HERE), stack) == 2
            assert held(lambda: asked.stream(ANONYMOUS, HERE), stack) == 2
            assert held(lambda: asked.stream(ANONYMOUS, THERE), stack) == 1
            with pytest.raises(RateLimited) as refused:
                stack.enter_context(asked.stream(BETA, HERE))
        assert refused.value.code is ErrorCode.TOO_MANY_STREAMS
        assert refused.value.retry_after_seconds >= 1

    def test_connections_are_told_whether_there_is_a_place(self) -> None:
        asked = admission(connections=3, connections_per_address=2)
        with ExitStack() as stack:
            assert [stack.enter_context(asked.connection(HERE)) for _ in range(3)] == [True, True, False]
            assert [stack.enter_context(asked.connection(THERE)) for _ in range(2)] == [True, False]
        assert len(asked.connections) == 0

    def test_a_proxy_may_have_as_many_connections_as_there_are(self) -> None:
        asked = admission(connections=5, connections_per_address=1)
        with ExitStack() as stack:
            assert [stack.enter_context(asked.connection("")) for _ in range(6)] == [True] * 5 + [False]

    def test_there_are_never_more_connections_than_files(self) -> None:
        asked = admission(DEFAULT_LIMITS)
        asked.fit(1024)
        assert (asked.connections.total, asked.connections.per_key) == (768, 384)
        asked.fit(256)
        assert (asked.connections.total, asked.connections.per_key) == (128, 64)
        asked.fit(1024)
        asked.adopt(NO_LIMITS)  # a reload does not make more of them
        assert (asked.connections.total, asked.connections.per_key) == (768, None)

    def test_what_a_crash_leaves_is_nothing(self) -> None:
        asked = admission(streams=1)
        with pytest.raises(KeyError), asked.stream(ALPHA, HERE):
            raise KeyError
        assert len(asked.streams) == 0


class TestReload:
    def test_a_rate_that_has_not_changed_goes_on(self) -> None:
        rate = Rate(0.1, 3)
        asked = admission(requests_per_credential=rate)
        assert admitted(lambda: asked.admit_request(ALPHA, HERE)) == 3
        asked.adopt(attrs.evolve(NO_LIMITS, requests_per_credential=rate, streams=3))
        assert admitted(lambda: asked.admit_request(ALPHA, HERE)) == 0

    def test_other_limits_hold_at_once_and_what_is_open_still_counts(self) -> None:
        asked = admission(streams=10)
        with ExitStack() as stack:
            assert held(lambda: asked.stream(ALPHA, HERE), stack, most=5) == 5
            asked.adopt(attrs.evolve(NO_LIMITS, streams=5, requests_per_credential=Rate(1, 1)))
            assert held(lambda: asked.stream(ALPHA, HERE), stack) == 0
        assert admitted(lambda: asked.admit_request(ALPHA, HERE)) == 1


class TestDefaults:
    def test_a_thousand_busy_agents_of_one_host_with_one_token_never_meet_them(self) -> None:
        clock = Clock()
        asked = Admission(DEFAULT_LIMITS, clock=clock)
        with ExitStack() as stack:
            for _ in range(1000):  # back after a restart, all at once: a look at the network, the upgrade, two rooms
                for _ in range(4):
                    asked.admit_request(ALPHA, HERE)
                assert stack.enter_context(asked.connection(HERE))
                stack.enter_context(asked.attachment(ALPHA, HERE))
                with ExitStack() as handshakes:
                    handshakes.enter_context(asked.handshake(HERE))
            for _ in range(1000):  # a question to all is answered by all
                asked.admit_request(ALPHA, HERE)
                asked.admit_message(ALPHA, HERE)
            for _ in range(600):  # ten minutes of turns: five requests each, one of them a message, in 15 seconds
                clock.now += 1
                for _ in range(333):
                    asked.admit_request(ALPHA, HERE)
                for _ in range(67):
                    asked.admit_message(ALPHA, HERE)

    def test_a_thousand_agents_of_one_host_may_claim_their_ids_at_once(self) -> None:
        asked = Admission(DEFAULT_LIMITS, clock=Clock())
        with ExitStack() as stack:
            for _ in range(1000):
                for _ in range(2):
                    asked.admit_request(ANONYMOUS, HERE)
                asked.admit_registration(ANONYMOUS, HERE)
                stack.enter_context(asked.handshake(HERE))
                stack.enter_context(asked.attachment(ANONYMOUS, HERE))

    def test_on_loopback_without_sign_in_only_what_a_process_can_hold_is_limited(self) -> None:
        asked = Admission(CAPS_ONLY, clock=Clock())
        for ask in (asked.admit_request, asked.admit_message, asked.admit_registration):
            for _ in range(20_000):
                ask(UNCHECKED, HERE)
        assert asked.streams.total == DEFAULT_LIMITS.streams


def test_every_refusal_is_counted_by_its_limit() -> None:
    registry = CollectorRegistry()
    one = Rate(1, 1)
    limits = LimitSettings(one, one, one, one, one, 1, 1, 1, 1, 1, 1, 1, 1)
    asked = Admission(limits, LimitMetrics.on(registry), Clock())
    with ExitStack() as stack:
        asked.note_failed_authentication(HERE)
        for _ in range(2):
            for ask in (
                lambda: asked.check_guesses(HERE),
                lambda: asked.admit_request(ALPHA, HERE),
                lambda: asked.admit_message(ALPHA, HERE),
                lambda: asked.admit_registration(ANONYMOUS, HERE),
                lambda: stack.enter_context(asked.attachment(ALPHA, HERE)),
                lambda: stack.enter_context(asked.handshake(HERE)),
                lambda: stack.enter_context(asked.stream(ALPHA, HERE)),
                lambda: stack.enter_context(asked.connection(HERE)),
            ):
                admitted(ask, 1)
        for _ in range(wire.MAX_UNFINISHED_BODIES_PER_ADDRESS + 1):
            admitted(lambda: stack.enter_context(asked.body(HERE)), 1)
    counted = {limit: registry.get_sample_value("moltnet_limited_total", {"limit": limit}) for limit in Limit}
    assert counted == dict.fromkeys(Limit, 1) | {Limit.FAILED_AUTHENTICATIONS: 2}


def test_a_server_that_is_full_says_so_to_whom_it_concerns() -> None:
    asked = admission(streams=1)
    with asked.stream(ALPHA, HERE), pytest.raises(RateLimited, match="no more places for streams"):
        asked.stream(BETA, HERE).__enter__()


def test_each_limit_has_a_series() -> None:
    assert tuple(Limit) == LIMITS
