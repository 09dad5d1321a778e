"""Which weakness of the reference implementation is tried as which attack, and that none that concerns access is left.

Each subject numbers its weaknesses from 1. Those about something else than access are in `OTHER`, with what they are
about; their tests are found by `tests/weaknesses/test_completeness`.
"""

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from tests.attach import test_ending, test_offline, test_removal, test_sending
from tests.attacks import (
    test_flooders,
    test_former_holders,
    test_id_squatters,
    test_members,
    test_paired_networks,
    test_proxy_spoofers,
    test_session_thieves,
    test_small_scopes,
    test_snoops,
    test_strangers,
    test_web_pages,
)
from tests.e2e import test_recovering_ids
from tests.http import test_credentials, test_limits
from tests.weaknesses import test_auth, test_http_api, test_http_service, test_server_config

Attacks = tuple[Callable[..., Any], ...]

AUTH: Final[Mapping[int, tuple[str, Attacks]]] = {
    1: (
        "agents of other networks taken for ours",
        (
            test_paired_networks.test_is_no_agent_of_ours,
            test_paired_networks.test_speaks_for_one_network_and_for_no_second_one_even_after_a_restart,
            test_paired_networks.test_says_nothing_where_none_of_its_agents_is_a_member,
        ),
    ),
    2: ("agents as humans", (test_members.test_speaks_as_nobody_else_whatever_it_puts_into_the_sender,)),
    3: ("blanks around human", (test_members.test_speaks_as_nobody_else_whatever_it_puts_into_the_sender,)),
    4: ("unregistered senders", (test_small_scopes.test_a_writer_is_nobody_that_it_says_to_be,)),
    5: (
        "direct conversations of others",
        (
            test_members.test_says_nothing_where_it_is_not_a_member,
            test_members.test_reads_no_room_that_it_is_not_in_and_no_conversation_of_others,
        ),
    ),
    6: (
        "members cannot read",
        (test_members.test_reads_no_room_that_it_is_not_in_and_no_conversation_of_others,),
    ),
    7: ("blurred refusals", (test_auth.test_each_refusal_says_what_it_is_about,)),
    8: (
        "one id or value twice",
        (test_snoops.test_nothing_is_slipped_into_a_file_unseen, test_server_config.test_what_must_be_unique_is),
    ),
    9: (
        "tokens without end",
        (
            test_former_holders.test_hears_and_says_nothing_from_that_moment_on,
            test_former_holders.test_an_id_that_was_revoked_is_nobodys_not_the_firsts_who_comes,
            test_recovering_ids.TestThieves.test_a_stolen_token_is_revoked_and_its_connections_end,
            test_credentials.TestTheRoutes.test_an_agent_rotates_and_revokes_its_token,
        ),
    ),
    10: (
        "first claims",
        (
            test_id_squatters.test_has_no_reserved_name_in_any_spelling_by_any_way,
            test_id_squatters.test_claims_no_more_than_an_address_may_and_makes_nobody_else_wait,
            test_id_squatters.test_has_no_id_that_the_file_gives_to_a_token_even_before_that_was_used,
        ),
    ),
    11: (
        "guessing",
        (
            test_strangers.test_is_let_in_by_no_guess_and_by_no_other_way_that_a_token_may_come,
            test_strangers.test_cannot_tell_a_token_that_exists_from_one_that_does_not,
            test_limits.TestGuessing.test_gets_slow_before_a_token_is_looked_at,
        ),
    ),
    12: (
        "from none to bearer",
        (test_strangers.test_is_not_let_in_as_somebody_who_was_there_before_tokens_were_asked_for,),
    ),
    13: (
        "cookies on changes and upgrades",
        (
            test_web_pages.test_changes_nothing_with_the_visitors_session,
            test_web_pages.test_opens_no_attachment_with_the_visitors_session_even_from_our_own_page,
        ),
    ),
    14: (
        "scopes for everything",
        (
            test_small_scopes.test_a_token_of_one_agent_registers_and_attaches_no_other,
            test_members.test_reads_no_room_that_it_is_not_in_and_no_conversation_of_others,
        ),
    ),
}
SERVER_CONFIG: Final[Mapping[int, tuple[str, Attacks]]] = {
    2: ("files that cannot start", (test_snoops.test_nothing_is_slipped_into_a_file_unseen,)),
    3: ("another network's data", (test_server_config.test_data_of_another_network_is_not_served_under_a_new_id,)),
    4: (
        "members come back with a restart",
        (test_former_holders.test_a_member_that_was_sent_away_is_not_back_after_a_restart,),
    ),
    5: ("duplicates", (test_snoops.test_nothing_is_slipped_into_a_file_unseen,)),
    6: ("what follows the document", (test_snoops.test_nothing_is_slipped_into_a_file_unseen,)),
    7: (
        "a token that was taken out goes on",
        (test_former_holders.test_a_token_of_the_file_ends_with_a_reload_and_its_connections_too,),
    ),
    8: (
        "private files",
        (
            test_snoops.test_no_file_with_secrets_is_used_that_others_may_touch,
            test_snoops.test_no_link_is_followed_to_a_file_with_secrets,
            test_snoops.test_no_file_with_secrets_is_used_in_a_directory_where_anybody_may_replace_it,
            test_snoops.test_no_private_file_that_is_named_elsewhere_is_used_if_others_may_read_it,
        ),
    ),
    9: ("origins", (test_web_pages.test_takes_no_default_for_an_origin_that_the_operator_misspelt,)),
    10: (
        "proxies and limits",
        (
            test_proxy_spoofers.test_has_one_address_however_many_it_names,
            test_proxy_spoofers.test_behind_a_proxy_what_it_says_itself_is_not_its_address,
            test_flooders.test_one_address_takes_nothing_from_the_others,
        ),
    ),
    11: (
        "modes of directories",
        (test_snoops.test_a_directory_that_was_there_keeps_its_mode_and_what_is_put_into_it_is_private,),
    ),
}
HTTP_API: Final[Mapping[int, tuple[str, Attacks]]] = {
    2: ("metrics without bound", (test_http_service.test_strangers_do_not_make_metrics_grow,)),
    4: ("a link that locks out", (test_web_pages.test_locks_nobody_out_and_in_by_a_link,)),
    5: (
        "a cookie that is a token",
        (
            test_session_thieves.test_is_no_token,
            test_session_thieves.test_changes_nothing_from_a_program_that_names_no_page,
            test_session_thieves.test_is_worth_nothing_after_its_time,
            test_session_thieves.test_is_worth_what_the_token_behind_it_is_worth_now,
        ),
    ),
    6: (
        "a credential taken for none",
        (
            test_strangers.test_is_let_in_by_no_guess_and_by_no_other_way_that_a_token_may_come,
            test_members.test_reads_no_room_that_it_is_not_in_and_no_conversation_of_others,
        ),
    ),
    7: (
        "streams of everybody behind a proxy",
        (
            test_flooders.test_one_address_takes_nothing_from_the_others,
            test_http_service.test_visitors_behind_a_proxy_do_not_share_their_streams,
            test_http_api.test_asking_for_the_head_of_a_stream_holds_none,
        ),
    ),
    8: ("pushed out of the replay", (test_flooders.test_strangers_push_no_message_out_of_what_is_replayed,)),
    9: ("slow readers", (test_http_api.test_a_reader_that_stalls_misses_nothing,)),
    10: (
        "costs of a public stream",
        (test_http_api.test_filtering_a_public_stream_reads_nothing_from_the_store,),
    ),
    11: (
        "names in documents",
        (test_proxy_spoofers.test_puts_no_name_of_its_own_into_what_others_are_told,),
    ),
    13: (
        "headers and rates",
        (
            test_web_pages.test_is_given_leave_to_read_no_answer,
            test_web_pages.test_frames_and_scripts_nothing_of_the_console,
            test_limits.TestRequests.test_no_route_is_a_way_around,
        ),
    ),
    14: (
        "answers without bound",
        (test_http_api.test_an_answer_of_history_stays_below_one_mebibyte_and_says_that_there_is_more,),
    ),
}
ATTACH: Final[Mapping[int, tuple[str, Attacks]]] = {
    1: (
        "everything to everybody",
        (
            test_members.test_hears_none_of_it_either_live_or_replayed_on_a_stream_or_attached,
            test_strangers.test_hears_nothing_private_by_claiming_an_id_and_attaching,
        ),
    ),
    2: (
        "nothing to members",
        (test_members.test_hears_none_of_it_either_live_or_replayed_on_a_stream_or_attached,),
    ),
    3: ("pushed out while away", (test_offline.test_what_was_said_meanwhile_comes_once_and_in_order,)),
    5: (
        "slow readers",
        (
            test_sending.TestSlowReaders.test_a_reader_that_stops_does_not_hold_up_the_others,
            test_sending.TestSlowReaders.test_a_reader_that_stops_is_closed_at_the_limit,
        ),
    ),
    6: ("the same ACK twice", (test_members.test_ends_no_session_by_saying_the_same_twice,)),
    7: (
        "poison of a removal",
        (
            test_former_holders.test_a_removed_agent_poisons_nothing_for_who_takes_its_id,
            test_removal.test_who_registers_again_is_not_disconnected_by_the_old_removal,
        ),
    ),
    8: (
        "two attachments of one agent",
        (
            test_members.test_is_attached_as_nobody_else,
            test_small_scopes.test_an_attach_token_without_a_list_takes_no_agent_of_another_credential,
        ),
    ),
    10: ("poison messages", (test_members.test_breaks_no_reader_by_what_it_says,)),
    12: ("reports of wakes", (test_ending.TestWakes.test_an_agents_own_words_never_wake_it,)),
    13: (
        "attachments without bound",
        (
            test_flooders.test_one_address_takes_nothing_from_the_others,
            test_flooders.test_one_credential_takes_not_all_attachments,
            test_recovering_ids.TestSquatters.test_one_address_cannot_claim_all_ids_and_what_it_has_can_be_listed_and_removed,
        ),
    ),
    14: (
        "an id whose token is lost",
        (test_recovering_ids.TestLostTokens.test_an_answer_that_never_arrived_leaves_an_id_that_can_be_reset,),
    ),
    15: (
        "internal addresses",
        (test_members.test_learns_of_others_neither_when_they_come_and_go_nor_from_where,),
    ),
}
OTHER: Final[Mapping[tuple[str, int], str]] = {
    ("server configuration", 1): "a start that fails",
    ("HTTP API", 1): "status of unknown routes",
    ("HTTP API", 3): "status of a body that is too large",
    ("HTTP API", 12): "how a server stops",
    ("HTTP API", 15): "apply in one transaction",
    ("attach protocol", 4): "order of live events",
    ("attach protocol", 9): "reconnecting in mode none: every caller there is trusted",
    ("attach protocol", 11): "pings of a busy runtime",
}
SUBJECTS: Final = {
    "identity and access": (14, AUTH),
    "server configuration": (11, SERVER_CONFIG),
    "HTTP API": (15, HTTP_API),
    "attach protocol": (15, ATTACH),
}


@pytest.mark.parametrize("subject", SUBJECTS)
def test_every_weakness_that_concerns_access_is_tried_as_an_attack(subject: str) -> None:
    count, weaknesses = SUBJECTS[subject]
    other = {number for name, number in OTHER if name == subject}
    assert not other & weaknesses.keys()
    assert other | weaknesses.keys() == set(range(1, count + 1))


@pytest.mark.parametrize("subject", SUBJECTS)
def test_every_attack_of_the_table_is_a_test(subject: str) -> None:
    _, weaknesses = SUBJECTS[subject]
    for label, attacks in weaknesses.values():
        assert attacks, label
        for attack in attacks:
            assert attack.__name__.startswith("test_"), label
            assert inspect.isfunction(attack)


def test_every_kind_of_attacker_is_in_the_table() -> None:
    named = {
        Path(inspect.getfile(attack)).name
        for _, weaknesses in SUBJECTS.values()
        for _, attacks in weaknesses.values()
        for attack in attacks
    }
    here = Path(__file__)
    assert {path.name for path in here.parent.glob("test_*.py")} - {here.name} <= named
