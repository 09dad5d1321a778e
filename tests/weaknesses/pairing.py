"""Weaknesses of pairing, by number, and the tests of each: a table of `test_completeness`."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.config import test_server_rules
from tests.core import test_relaying
from tests.http import test_pairings, test_topology
from tests.pairing import (
    test_courier,
    test_diagnostics,
    test_links,
    test_receiving,
    test_relay,
    test_remote,
    test_status,
    test_two_networks,
)

PAIRING: Final[Mapping[int, tuple[str, tuple[Callable[..., Any], ...]]]] = {
    1: (
        "fire and forget",
        (
            test_courier.test_while_the_network_is_down_nothing_is_lost_and_few_ask,
            test_relay.test_a_crash_after_any_number_of_settlements_loses_nothing,
            test_relay.test_a_dead_letter_that_is_tried_again_arrives,
        ),
    ),
    2: (
        "one message poisons the link",
        (
            test_remote.test_weakness_2_a_refusal_of_one_message_is_no_failure_of_the_pairing,
            test_two_networks.test_a_refused_message_is_a_dead_letter_and_blocks_nothing,
        ),
    ),
    3: (
        "a message under a used id vanishes",
        (
            test_receiving.test_an_id_that_another_network_has_used_is_refused_and_not_swallowed,
            test_two_networks.test_an_id_that_means_another_message_there_is_a_dead_letter,
        ),
    ),
    4: ("eight at a time, or dropped", (test_courier.test_conversations_go_side_by_side_within_a_bound,)),
    5: ("every room to everybody", (test_relaying.test_where_a_message_goes,)),
    6: (
        "namesakes, and tokens for any network",
        (
            test_receiving.test_a_remote_namesake_of_a_member_is_no_member,
            test_receiving.test_a_pair_token_speaks_for_its_network_only,
        ),
    ),
    7: (
        "empty and short lists",
        (
            test_topology.test_weakness_7_a_paired_network_sees_what_it_shares,
            test_pairings.test_weakness_7_the_lists_of_the_other_network_are_paged_through_it,
            test_remote.test_weakness_7_pages_and_cursors_pass_through,
        ),
    ),
    8: (
        "an event for every look",
        (
            test_status.test_weakness_8_the_same_again_is_told_to_nobody,
            test_pairings.test_weakness_8_asking_often_fills_no_log,
        ),
    ),
    9: (
        "other participants on each side",
        (
            test_relaying.test_every_participant_is_named_with_its_network,
            test_two_networks.test_a_direct_conversation_has_the_same_people_on_both_sides,
        ),
    ),
    10: (
        "whoever says it is somebody, and itself",
        (
            test_server_rules.test_weakness_pairing_10_a_network_is_not_paired_with_itself,
            test_diagnostics.test_a_network_of_our_own_id_is_none_to_pair_with,
            test_receiving.test_a_message_that_comes_twice_is_there_once,
            test_relaying.test_what_came_from_another_network_goes_nowhere,
        ),
    ),
    11: (
        "nobody looks unless something is sent",
        (
            test_links.test_a_pairing_is_checked_soon_after_the_start_and_then_on_a_schedule,
            test_links.test_a_pairing_in_error_is_asked_again_until_it_is_back,
        ),
    ),
    12: ("order is lost on the way", (test_courier.test_messages_of_a_conversation_arrive_in_their_order,)),
}
