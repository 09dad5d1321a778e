"""Weaknesses of the runtimes, by number, and the tests of each: a table of `test_completeness`.

What the network is told about a turn while it runs, the other half of the tenth, is nothing in this version: turns and
what became of them are shown by the node.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.bridge import (
    test_approvals,
    test_brakes,
    test_bubblewrap,
    test_containment,
    test_context,
    test_conversation,
    test_desk,
    test_loop,
    test_publishing,
    test_render,
    test_runtime_rules,
    test_sandbox,
    test_sandbox_doors,
)
from tests.bridge.runtimes import (
    test_claude_code,
    test_pi,
    test_plugins,
    test_real_agents,
    test_real_codex,
    test_tinyclaw,
)
from tests.bridge.runtimes.openclaw import (
    test_broken_gateway,
    test_device,
    test_frames,
    test_real_gateway,
    test_runtime,
)

RUNTIMES: Final[Mapping[int, tuple[str, tuple[Callable[..., Any], ...]]]] = {
    1: (
        "no context",
        (
            test_context.test_a_prompt_shows_them,
            test_render.test_a_single_message_is_a_compact_block_with_the_way_to_answer,
            test_render.test_earlier_messages_come_first_and_each_has_its_place,
        ),
    ),
    2: (
        "threads",
        (
            test_render.test_a_thread_names_its_room_its_parent_and_its_target,
            test_render.test_the_command_line_understands_the_target_that_a_prompt_names,
            test_runtime.test_a_session_names_the_agent_of_the_gateway_and_the_conversation,
        ),
    ),
    3: ("files, images, audio and data", (test_render.test_every_kind_of_part_is_described,)),
    4: (
        "text of others as the owner's",
        (
            test_render.test_no_text_can_forge_a_line_of_the_prompt,
            test_render.test_everything_below_the_headers_is_quoted,
            test_render.test_no_text_whatever_forges_a_header_or_ends_its_own_place,
            test_real_gateway.test_what_it_is_told_is_marked_as_not_from_its_owner_and_is_no_command,
        ),
    ),
    5: (
        "sessions and permissions of today's CLIs",
        (
            test_real_agents.test_two_turns_of_a_conversation_are_one_session_and_each_asks_the_model_once,
            test_real_agents.test_by_default_its_shell_may_run_moltnet_and_knows_the_turn,
            test_real_agents.test_what_claude_may_not_run_is_told_and_is_no_failure,
            test_claude_code.test_the_arguments_of_a_first_and_of_a_later_turn,
            test_real_codex.test_a_second_turn_knows_the_first,
            test_real_codex.test_by_default_its_shell_may_write_and_reach_the_network_and_knows_the_turn,
            test_pi.test_a_conversation_keeps_its_file_from_the_moment_that_pi_starts,
        ),
    ),
    6: (
        "containment",
        (
            test_sandbox.test_the_usual_variables_pass_and_secrets_do_not,
            test_claude_code.test_claude_gets_its_home_and_no_secret_of_the_node,
            test_pi.test_pi_gets_its_home_and_no_secret_of_the_node,
            test_real_agents.test_the_turn_limit_ends_the_tools_too,
            test_real_agents.test_what_a_tool_left_in_the_background_ends_with_the_turn,
            test_containment.test_a_command_that_takes_too_much_memory_is_killed_with_all_it_started,
            test_containment.test_a_fork_bomb_is_stopped_and_nothing_of_it_is_left,
            test_bubblewrap.test_only_the_workspace_and_what_is_declared_can_be_written,
            test_sandbox_doors.test_nothing_else_is_reached_not_even_other_ports_of_this_host,
        ),
    ),
    7: (
        "runs without end",
        (
            test_conversation.test_an_agent_runs_a_bounded_number_of_turns,
            test_conversation.test_a_node_runs_a_bounded_number_of_turns,
            test_brakes.test_two_agents_that_always_answer_each_other_get_their_turns_of_an_hour_and_no_more,
        ),
    ),
    8: (
        "batches",
        (
            test_conversation.test_a_batch_is_bounded_in_number_and_bytes,
            test_brakes.test_what_a_spent_budget_holds_back_becomes_one_ordered_batch,
            test_real_agents.test_a_large_prompt_arrives_whole_and_none_of_it_is_an_argument,
        ),
    ),
    9: (
        "long turns and heartbeats",
        (
            test_loop.test_ping_is_answered_during_a_long_turn_and_other_rooms_are_served,
            test_broken_gateway.test_a_gateway_that_has_stopped_ticking_is_connected_to_again,
        ),
    ),
    10: (
        "what became of a wake",
        (
            test_conversation.test_a_message_that_cannot_be_handled_is_given_up_with_a_record_and_blocks_nothing,
            test_desk.test_letters_are_listed_and_dropped_by_either_id,
        ),
    ),
    11: (
        "bootstrap",
        (test_loop.test_a_node_killed_before_its_first_event_misses_nothing_at_a_server_that_tells_the_place,),
    ),
    12: (
        "a handshake and a key for each message",
        (
            test_runtime.test_all_turns_share_one_authenticated_connection,
            test_device.test_it_is_made_once_and_only_its_owner_may_read_it,
            test_frames.test_a_handshake_asks_for_protocol_4_and_for_no_more_than_it_needs,
        ),
    ),
    13: ("queues of others", (test_tinyclaw.test_responses_of_others_are_left_where_they_are,)),
    14: (
        "published output",
        (
            test_publishing.test_by_default_nothing_is_posted,
            test_publishing.test_a_turn_that_is_done_twice_is_heard_once,
            test_publishing.test_what_is_too_long_is_cut_and_says_so,
        ),
    ),
    15: (
        "approval; keys that mean nothing",
        (
            test_approvals.test_a_wake_waits_until_it_is_approved_and_then_runs,
            test_runtime_rules.test_each_runtime_rule_names_its_key,
            test_plugins.test_keys_of_one_kind_of_ours_do_not_belong_to_a_package,
        ),
    ),
}
