"""Weaknesses of node and bridge, by number, and the tests of each: a table of `test_completeness`."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.bridge import (
    test_approvals,
    test_attachment,
    test_conversation,
    test_credential,
    test_desk,
    test_ending,
    test_loop,
    test_missed,
    test_policy,
    test_preflight,
    test_reconnect,
    test_turns,
)
from tests.node import test_cli, test_control, test_many, test_operating, test_reload, test_supervisor
from tests.weaknesses import test_attach_protocol, test_node_and_bridge

NODE_AND_BRIDGE: Final[Mapping[int, tuple[str, tuple[Callable[..., Any], ...]]]] = {
    1: (
        "what is said while the node is down",
        (
            test_loop.test_what_was_said_while_the_node_was_down_is_answered_after_its_start,
            test_missed.test_what_the_log_of_events_has_forgotten_is_fetched_from_the_history_and_done_once,
            test_missed.test_direct_messages_are_fetched_too,
            test_many.test_nothing_is_lost_doubled_or_leaked_while_everything_breaks,
        ),
    ),
    2: (
        "clean closes",
        (
            test_reconnect.test_it_attaches_again_after_every_kind_of_loss,
            test_attachment.test_every_close_after_ready_is_a_loss,
        ),
    ),
    3: (
        "an unreachable server, a refusal",
        (
            test_reconnect.test_a_server_that_is_not_up_yet_is_waited_for,
            test_reconnect.test_a_certain_refusal_ends_it_at_once,
            test_supervisor.test_a_refused_child_is_parked_is_shown_and_looks_again_later,
            test_preflight.test_an_answer_other_than_yes_is_a_refusal_or_passes,
        ),
    ),
    4: (
        "poison events",
        (
            test_conversation.test_a_message_that_cannot_be_handled_is_given_up_with_a_record_and_blocks_nothing,
            test_desk.test_a_running_attachment_tries_a_letter_again_at_once,
        ),
    ),
    5: (
        "one slow turn",
        (
            test_conversation.test_a_slow_conversation_holds_up_no_other,
            test_attachment.test_ping_is_answered_while_nobody_takes_the_events,
            test_loop.test_ping_is_answered_during_a_long_turn_and_other_rooms_are_served,
        ),
    ),
    6: (
        "ACK before the turn",
        (
            test_loop.test_a_wake_is_acked_when_its_turn_is_finished_and_not_before,
            test_conversation.test_a_failed_turn_is_tried_again_with_growing_delays_and_says_so,
        ),
    ),
    7: (
        "approval of wakes",
        (
            test_approvals.test_a_wake_waits_until_it_is_approved_and_then_runs,
            test_approvals.test_what_is_denied_or_not_decided_in_time_wakes_nobody,
            test_approvals.test_decisions_made_while_the_node_was_down_are_found_at_its_start,
            test_policy.test_a_room_wakes_as_its_policy_says,
        ),
    ),
    8: (
        "delays that never start over",
        (
            test_reconnect.test_only_a_healthy_connection_restarts_the_delays,
            test_supervisor.test_restarts_back_off_and_start_over_after_a_healthy_run,
        ),
    ),
    9: ("a first claim", (test_preflight.test_who_has_yet_to_claim_an_id_may_be_refused_to_look,)),
    10: ("relative workspaces", (test_turns.test_moltnet_finds_network_and_member_from_any_directory,)),
    11: (
        "tokens in workspaces, tokens that change",
        (
            test_turns.test_the_token_is_in_the_environment_and_not_in_the_workspace,
            test_credential.test_a_rotated_token_is_used_for_the_next_connection_and_turn,
            test_reload.test_an_agent_parked_for_its_token_is_tried_when_the_file_has_another,
        ),
    ),
    12: (
        "what a stop leaves behind",
        (
            test_cli.test_a_second_signal_ends_a_node_at_once_with_its_runtime,
            test_operating.test_a_node_ends_while_somebody_holds_its_socket_and_leaves_no_process,
        ),
    ),
    13: (
        "others' conversations",
        (test_attach_protocol.test_an_attachment_gets_what_its_agent_may_read_and_nothing_else,),
    ),
    14: ("the same id elsewhere", (test_policy.test_only_the_agents_own_messages_are_suppressed,)),
    15: (
        "one bad attachment, no reload, no status",
        (
            test_supervisor.test_a_refused_child_is_parked_is_shown_and_looks_again_later,
            test_reload.test_only_what_changed_is_added_removed_or_restarted,
            test_control.test_the_status_shows_connections_queues_brakes_and_turns,
            test_node_and_bridge.test_a_node_is_changed_and_asked_while_one_of_its_agents_is_refused,
        ),
    ),
    16: ("two nodes of one agent", (test_ending.test_the_same_attachment_runs_once,)),
}

LOOPS: Final = (test_node_and_bridge.test_two_agents_that_answer_each_other_stop_at_their_turns_of_an_hour,)
"""Of the runtimes' weaknesses, the one that the node answers."""
