"""Which answers are about one message, and which about all of them."""

import pytest

from moltnet.client.errors import ServerAnswered, ServerUnreachable
from moltnet.pairing.refusals import failed_over_message, failure_of, failure_without_end, is_about_pairing
from moltnet.pairing.relay_limits import MAX_REASON_CHARACTERS
from moltnet.pairing.remote import Refused, RemoteUnavailable
from tests.storage.examples import at

# Status, code and text of an answer, and whether the pairing is refused by it.
ANSWERS = [
    (400, "invalid_field", "parts", False),
    (401, "invalid_token", "invalid token", True),
    (403, "missing_scope", "this needs a token with scope pair", True),
    (403, "remote_actor_forbidden", 'this pair token belongs to network "net_c", not "net_a"', True),
    (403, "room_write_forbidden", 'room "desk" does not let "alpha" write', False),
    (403, "not_a_participant", "the sender takes no part", False),
    (403, "direct_messages_disabled", "direct messages are disabled", False),
    (403, "human_ingress_disabled", "human ingress is disabled", False),
    (403, "host_forbidden", "not by this name", True),
    (404, "unknown_room", 'unknown room "desk"', False),
    (404, "unknown_route", "there is no such route", True),
    (409, "message_id_conflict", "taken", False),
    (409, "thread_in_other_room", "elsewhere", False),
    (413, "message_too_large", "too large", False),
    (415, "unsupported_media_type", "?", True),
    (422, "invalid_field", "?", False),
    # The reference has one code for each status.
    (403, "forbidden", "forbidden", True),
    (403, "forbidden", 'remote-origin agent "alpha" requires pair scope', True),
    (403, "forbidden", 'room "desk" write policy forbids sender', False),
    (404, "not_found", 'unknown room "desk"', False),
    (409, "conflict", 'agent "remote origin actor" is already registered with different credentials', False),
    (422, "unprocessable_entity", "target.room_id room id id must match", False),
]


@pytest.mark.parametrize(("status", "code", "message", "about_pairing"), ANSWERS)
def test_a_refusal_is_about_the_message_or_about_the_pairing(
    status: int, code: str, message: str, about_pairing: bool
) -> None:
    assert is_about_pairing(Refused(status, code, message)) is about_pairing


@pytest.mark.parametrize(
    ("cause", "blamed"),
    [
        (ServerAnswered("b.test", 500), True),
        (ServerAnswered("b.test", 501), True),
        (ServerAnswered("b.test", 503), False),
        (ServerAnswered("b.test", 507), False),
        (ServerAnswered("b.test", 429), False),
        (ServerAnswered("b.test", 401), False),
        (ServerUnreachable("b.test", "refused"), False),
        (None, False),
    ],
)
def test_only_a_server_that_fails_over_it_speaks_against_a_message(cause: Exception | None, blamed: bool) -> None:
    error = RemoteUnavailable("no")
    error.__cause__ = cause
    assert failed_over_message(error) is blamed


def test_what_is_kept_of_an_answer_is_bounded_and_on_one_line() -> None:
    failure = failure_of(Refused(403, "x\n" * 99, "line\none\0" * 999), at(1))
    assert len(failure.message) <= MAX_REASON_CHARACTERS
    assert "\n" not in failure.code + failure.message
    assert "\0" not in failure.message
    error = RemoteUnavailable("failed\nagain")
    error.__cause__ = ServerAnswered("b.test", 500, code="internal_error")
    kept = failure_without_end(error, at(2))
    assert (kept.status, kept.code, kept.message, kept.at) == (500, "internal_error", "failed again", at(2))
    assert failure_without_end(RemoteUnavailable("gone"), at(2)).status == 0
