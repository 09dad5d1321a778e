"""Which weakness of the reference implementation is tried by which test, and that none is left out.

Each subject numbers its weaknesses from 1. A weakness that this version still has is in `OPEN`, with the reason.
"""

import inspect
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, Final

import pytest

from tests.attach import test_crowd, test_offline
from tests.attach import test_limits as test_attach_limits
from tests.bridge import test_loop
from tests.cli import test_weaknesses as test_command_line
from tests.conformance import test_reference_client
from tests.http import test_backlog
from tests.scale import test_directory_pages, test_races, test_streams
from tests.weaknesses import (
    test_attach_protocol,
    test_auth,
    test_discovery_documents,
    test_http_api,
    test_http_service,
    test_message_model,
    test_node_and_bridge,
    test_server_config,
    test_storage,
)
from tests.weaknesses.command_line import COMMAND_LINE
from tests.weaknesses.console import CONSOLE
from tests.weaknesses.discovery_documents import DISCOVERY_DOCUMENTS
from tests.weaknesses.node_and_bridge import LOOPS, NODE_AND_BRIDGE
from tests.weaknesses.pairing import PAIRING
from tests.weaknesses.runtimes import RUNTIMES
from tests.weaknesses.storage import STORAGE

Tests = tuple[Callable[..., Any], ...]
Weaknesses = Mapping[int, tuple[str, Tests]]

MESSAGE_MODEL: Final[Weaknesses] = {
    1: ("mention before punctuation", (test_message_model.test_a_mention_before_a_full_stop_wakes_its_agent,)),
    2: ("participants lost", (test_message_model.test_nobody_named_in_a_direct_conversation_is_lost,)),
    3: (
        "outsiders in DMs",
        (
            test_message_model.test_an_outsider_cannot_write_into_a_direct_conversation_nor_bring_people_in,
            test_races.test_a_direct_conversation_belongs_to_those_who_began_it,
        ),
    ),
    4: ("forged sender and origin", (test_message_model.test_a_message_bears_the_sender_that_was_proved,)),
    5: (
        "id reused",
        (
            test_message_model.test_other_content_under_a_used_message_id_is_refused,
            test_races.test_of_different_messages_under_one_id_one_wins_for_ever,
        ),
    ),
    6: ("crash after commit", (test_message_model.test_a_message_that_a_crash_kept_from_its_readers_is_replayed,)),
    7: ("blanks around ids", (test_message_model.test_blanks_around_an_id_never_make_another_one,)),
    8: ("blanks around human", (test_message_model.test_a_human_with_blanks_around_it_is_a_human,)),
    9: (
        "thread in another room",
        (
            test_message_model.test_a_private_thread_is_never_heard_of_in_a_public_room,
            test_races.test_a_thread_that_two_rooms_want_is_in_one_of_them,
        ),
    ),
    10: ("more without end", (test_message_model.test_reading_on_while_there_is_more_ends_and_reads_all,)),
    11: ("cursors refused", (test_message_model.test_every_cursor_that_is_handed_out_is_taken_back,)),
    12: ("order by the clock", (test_message_model.test_order_is_that_of_acceptance_whatever_the_clock_says,)),
    13: (
        "sizes without limit",
        (
            test_message_model.test_what_is_accepted_fits_into_a_frame_whatever_its_text_is_made_of,
            test_message_model.test_parts_mentions_and_names_have_limits,
        ),
    ),
    14: (
        "time of a change of members",
        (test_message_model.test_a_change_of_members_is_reported_with_the_time_of_the_change,),
    ),
    15: ("ambiguous keys", (test_message_model.test_a_request_has_one_meaning,)),
}
HTTP_API: Final[Weaknesses] = {
    1: (
        "unknown routes and methods",
        (
            test_http_api.test_an_unknown_route_of_the_api_is_404_in_the_envelope,
            test_http_api.test_a_wrong_method_is_405_in_the_envelope_and_told_the_right_ones,
        ),
    ),
    2: ("metrics without bound", (test_http_service.test_strangers_do_not_make_metrics_grow,)),
    3: (
        "status and code of refusals",
        (
            test_http_api.test_a_body_that_is_too_large_is_413,
            test_http_api.test_refusals_of_one_status_tell_themselves_apart,
        ),
    ),
    4: (
        "token in a link",
        (
            test_http_api.test_a_link_with_a_bad_token_plants_nothing_and_locks_nobody_out,
            test_http_service.test_a_bad_token_in_a_link_leaves_a_session_as_it_is,
        ),
    ),
    5: (
        "token in a cookie",
        (
            test_http_api.test_a_cookie_never_stands_for_a_bearer_token,
            test_http_service.test_a_browser_holds_a_session_that_ends_and_never_a_token,
            test_http_service.test_a_page_of_somebody_else_changes_nothing_with_a_visitors_session,
        ),
    ),
    6: ("agents taken for the public", (test_http_api.test_an_agent_sees_what_it_may_write_and_reads_its_own,)),
    7: (
        "streams behind a proxy",
        (
            test_http_service.test_visitors_behind_a_proxy_do_not_share_their_streams,
            test_http_service.test_who_is_no_proxy_cannot_say_to_be_somebody_else,
            test_http_api.test_asking_for_the_head_of_a_stream_holds_none,
        ),
    ),
    8: (
        "replay",
        (
            test_http_api.test_agents_that_come_and_go_push_no_message_out_of_the_replay,
            test_http_api.test_a_cursor_that_is_not_known_is_answered_with_a_gap_also_after_a_restart,
            test_streams.test_a_reader_comes_back_after_thousands_of_events_and_a_restart,
        ),
    ),
    9: (
        "slow readers",
        (
            test_http_api.test_a_reader_that_stalls_misses_nothing,
            test_streams.test_a_reader_that_does_not_read_is_closed_and_hurts_nobody,
        ),
    ),
    10: ("reads per event", (test_http_api.test_filtering_a_public_stream_reads_nothing_from_the_store,)),
    11: (
        "what documents are made of",
        (
            test_discovery_documents.test_names_stay_values_and_nothing_is_added_to_a_document,
            test_discovery_documents.test_a_forwarded_host_of_a_stranger_counts_for_nothing,
        ),
    ),
    12: ("stop with a stream", (test_http_api.test_a_stop_with_an_open_stream_is_soon_and_clean,)),
    13: (
        "what an API should have",
        (
            test_http_api.test_the_console_is_served_with_headers_that_keep_it_harmless,
            test_http_api.test_lists_are_read_by_the_page_and_not_whole,
            test_http_service.test_documents_have_a_tag_and_are_not_sent_twice,
            test_http_service.test_large_answers_are_compressed_for_those_who_take_it,
            test_http_service.test_the_api_describes_itself,
            test_http_service.test_a_caller_that_asks_too_often_is_told_when_to_come_back,
            test_http_service.test_every_answer_has_the_headers_that_keep_a_browser_out_of_harm,
            test_directory_pages.test_a_page_costs_what_it_shows,
        ),
    ),
    14: (
        "size of history",
        (
            test_http_api.test_an_answer_of_history_stays_below_one_mebibyte_and_says_that_there_is_more,
            test_backlog.test_peers_that_take_nothing_do_not_fill_the_servers_memory,
        ),
    ),
    15: ("apply", (test_http_api.test_apply_does_all_of_it_or_nothing_and_reports_the_members,)),
}
AUTH: Final[Weaknesses] = {
    1: (
        "remote actors",
        (
            test_auth.test_an_actor_of_another_network_is_no_member_for_having_the_same_name,
            test_auth.test_a_pair_token_speaks_for_the_first_network_that_it_spoke_for,
        ),
    ),
    2: ("agents as humans", (test_auth.test_a_token_of_an_agent_never_sends_as_a_human,)),
    3: ("blanks around human", (test_message_model.test_a_human_with_blanks_around_it_is_a_human,)),
    4: ("unregistered senders", (test_auth.test_a_member_that_is_not_registered_cannot_be_impersonated,)),
    5: ("DMs", (test_auth.test_direct_messages_are_for_those_who_take_part,)),
    6: ("private rooms", (test_auth.test_members_read_their_private_rooms,)),
    7: ("blurred refusals", (test_auth.test_each_refusal_says_what_it_is_about,)),
    8: (
        "ids and values of tokens",
        (
            test_server_config.test_what_must_be_unique_is,
            test_auth.test_a_configured_token_changes_its_value_without_a_gap,
        ),
    ),
    10: (
        "names",
        (
            test_auth.test_a_name_that_is_taken_gets_an_ending_and_never_another_owner,
            test_auth.test_the_operator_keeps_names_and_strangers_cannot_take_all_others,
            test_races.test_an_id_is_claimed_by_one,
            test_races.test_who_asks_for_a_name_gets_an_id_of_its_own,
        ),
    ),
    9: (
        "life of agents' tokens",
        (
            test_auth.test_an_agents_token_can_be_replaced_revoked_and_recovered,
            test_races.test_of_tokens_that_are_made_at_once_one_is_good,
        ),
    ),
    11: ("looking up tokens", (test_auth.test_a_token_is_looked_up_without_asking_the_store,)),
    12: ("from none to bearer", (test_auth.test_who_was_there_before_sign_in_gets_a_token_from_the_operator,)),
    13: (
        "cookie on changes",
        (test_http_service.test_a_page_of_somebody_else_changes_nothing_with_a_visitors_session,),
    ),
}
SERVER_CONFIG: Final[Weaknesses] = {
    1: ("removed rooms", (test_server_config.test_a_declared_room_that_was_removed_is_there_after_the_next_start,)),
    2: ("validate", (test_server_config.test_a_file_that_could_not_start_does_not_load,)),
    3: (
        "id of the network",
        (
            test_server_config.test_a_file_that_could_not_start_does_not_load,
            test_server_config.test_data_of_another_network_is_not_served_under_a_new_id,
        ),
    ),
    4: ("runtime membership", (test_server_config.test_members_that_came_at_runtime_stay_until_the_file_changes,)),
    5: ("duplicates", (test_server_config.test_what_must_be_unique_is,)),
    6: ("what follows the document", (test_server_config.test_nothing_in_the_file_is_passed_over,)),
    7: (
        "secrets and reload",
        (
            test_server_config.test_a_secret_may_come_from_the_environment_or_a_private_file,
            test_server_config.test_a_changed_file_is_taken_over_under_open_connections,
        ),
    ),
    8: ("private files", (test_server_config.test_a_file_with_secrets_is_private_in_every_way,)),
    9: ("origins", (test_server_config.test_an_origin_that_is_none_is_an_error_and_no_default,)),
    11: ("modes of directories", (test_storage.test_a_directory_keeps_its_mode_and_the_files_in_it_are_private,)),
}
ATTACH_PROTOCOL: Final[Weaknesses] = {
    1: (
        "others' rooms and DMs",
        (test_attach_protocol.test_an_attachment_gets_what_its_agent_may_read_and_nothing_else,),
    ),
    2: (
        "members and private rooms",
        (test_attach_protocol.test_members_get_their_private_rooms_where_the_public_reads_too,),
    ),
    3: (
        "a ring in memory",
        (
            test_attach_protocol.test_what_was_missed_comes_from_the_store_after_a_restart_too,
            test_offline.test_nothing_is_lost_or_doubled_whatever_becomes_of_the_server,
        ),
    ),
    4: ("replay and live", (test_attach_protocol.test_what_is_said_while_somebody_attaches_comes_once,)),
    5: (
        "slow readers",
        (
            test_attach_protocol.test_a_slow_reader_misses_nothing,
            test_crowd.test_of_a_thousand_in_a_room_twenty_do_not_read_and_nobody_misses_anything,
        ),
    ),
    6: ("ACK", (test_attach_protocol.test_a_repeated_ack_is_harmless_and_no_wake_is_forgotten,)),
    7: ("removal", (test_attach_protocol.test_an_agent_that_was_removed_and_is_back_reads_past_its_removal,)),
    8: (
        "two attachments",
        (test_attach_protocol.test_of_two_attachments_one_may_leave_and_the_agent_is_still_there,),
    ),
    9: (
        "half-open sockets",
        (test_attach_protocol.test_a_lost_connection_does_not_keep_an_agent_without_a_token_out,),
    ),
    10: ("poison messages", (test_attach_protocol.test_what_is_accepted_fits_into_a_frame,)),
    11: (
        "slow runtimes",
        (
            test_loop.test_ping_is_answered_during_a_long_turn_and_other_rooms_are_served,
            test_reference_client.test_one_that_stops_reading_is_let_go_and_comes_back_to_everything,
        ),
    ),
    12: (
        "false wakes and failures",
        (test_attach_protocol.test_an_agents_own_words_do_not_wake_it_and_a_clean_close_fails_no_wake,),
    ),
    13: (
        "caps",
        (
            test_attach_protocol.test_attachments_handshakes_and_claims_have_an_end,
            test_attach_limits.test_claims_beyond_those_of_an_address_are_told_to_try_later_and_leave_nothing,
        ),
    ),
    14: ("a lost token", (test_attach_protocol.test_a_claim_whose_token_got_lost_is_given_a_new_one,)),
    15: (
        "addresses and close codes",
        (test_attach_protocol.test_a_close_says_what_it_is_about_and_no_event_holds_an_address,),
    ),
}
SUBJECTS: Final = {
    "message model": (15, MESSAGE_MODEL),
    "HTTP API": (15, HTTP_API),
    "command line": (15, COMMAND_LINE),
    "discovery documents": (12, DISCOVERY_DOCUMENTS),
    "storage": (14, STORAGE),
    "identity and access": (14, AUTH),
    "server configuration": (11, SERVER_CONFIG),
    "attach protocol": (15, ATTACH_PROTOCOL),
    "node and bridge": (16, NODE_AND_BRIDGE),
    "pairing": (12, PAIRING),
    "runtimes": (15, RUNTIMES),
    "console": (14, CONSOLE),
}
# What is not there yet, or has its tests where its code is.
OPEN: Final[Mapping[tuple[str, int], str]] = {
    ("identity and access", 14): "no grants for single rooms, no audit trail",
    ("server configuration", 10): "proxies, log and limits have settings; there is no TLS of its own",
}


@pytest.mark.parametrize("subject", SUBJECTS)
def test_every_weakness_has_a_test_or_is_known_to_be_open(subject: str) -> None:
    count, weaknesses = SUBJECTS[subject]
    still_open = {number for name, number in OPEN if name == subject}
    assert not still_open & weaknesses.keys()
    assert still_open | weaknesses.keys() == set(range(1, count + 1))


def names_in(module: ModuleType) -> set[str]:
    return {name for name, each in vars(module).items() if name.startswith("test_") and inspect.isfunction(each)}


@pytest.mark.parametrize(
    "module",
    [
        test_attach_protocol,
        test_auth,
        test_command_line,
        test_discovery_documents,
        test_http_api,
        test_http_service,
        test_message_model,
        test_node_and_bridge,
        test_server_config,
        test_storage,
    ],
    ids=lambda module: module.__name__,
)
def test_every_test_of_a_weakness_stands_in_a_table(module: ModuleType) -> None:
    named = {test.__name__ for _, weaknesses in SUBJECTS.values() for _, tests in weaknesses.values() for test in tests}
    assert names_in(module) - named <= BESIDES


# What this version adds to a subject, beside what was weak.
BESIDES: Final = {
    "test_limits_and_proxies_have_settings",
    "test_the_log_has_settings",
    *(test.__name__ for test in LOOPS),
}
