"""Weaknesses of the command line, by number, and the tests of each: a table of `test_completeness`."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.cli import (
    test_administration,
    test_agent_credentials,
    test_approvals,
    test_backup,
    test_connect,
    test_golden,
    test_main,
    test_pair,
    test_read,
    test_register_agent,
    test_send,
    test_skill,
    test_update,
    test_validate,
    test_weaknesses,
    test_workspace_commands,
)
from tests.config import test_client, test_workspace
from tests.node import test_cli as test_node_cli
from tests.node import test_control

COMMAND_LINE: Final[Mapping[int, tuple[str, tuple[Callable[..., Any], ...]]]] = {
    1: (
        "nothing for people",
        (
            test_golden.test_every_command_prints_what_it_did_before,
            test_read.test_a_person_gets_lines,
            test_weaknesses.test_text_is_printed_as_it_is,
        ),
    ),
    2: (
        "one exit code",
        (
            test_weaknesses.test_each_kind_of_failure_has_its_exit_code,
            test_send.test_a_refusal_has_its_exit_code,
            test_main.test_help_of_a_command_has_examples_and_exits_0,
        ),
    ),
    3: ("read-only rooms", (test_read.test_a_read_only_room_can_be_read,)),
    4: (
        "agents' credentials",
        (
            test_agent_credentials.test_an_agent_s_own_credential_is_enough,
            test_agent_credentials.test_an_agent_s_own_credential_is_enough_to_watch,
            test_agent_credentials.test_who_has_claimed_its_id_may_look_after_the_claim,
        ),
    ),
    5: (
        "what cannot be said or seen",
        (
            test_send.test_a_thread_names_its_room_and_what_it_is_about,
            test_send.test_a_dm_begins_with_the_named_agents,
            test_send.test_text_comes_from_standard_input,
            test_read.test_options_become_the_request,
            test_workspace_commands.TestSending.test_a_message_may_hold_a_file_s_text_links_data_and_mentions,
            test_workspace_commands.TestDirectMessages.test_the_first_message_begins_the_conversation_and_the_next_goes_on,
            test_workspace_commands.TestSearch.test_it_finds_all_words_in_any_order_and_case,
            test_workspace_commands.TestWatching.test_it_shows_the_last_messages_and_what_comes,
        ),
    ),
    6: (
        "posted twice",
        (
            test_send.test_a_lost_answer_is_asked_for_again_with_the_same_id,
            test_send.test_the_id_may_be_given,
        ),
    ),
    7: (
        "paths of token files",
        (
            test_workspace.test_weakness_cli_7_a_relative_token_path_stays_as_it_was_written,
            test_client.test_weakness_cli_7_a_relative_token_path_starts_at_the_file_every_time,
            test_connect.test_a_relative_token_file_stays_where_it_is_however_often_it_is_saved,
        ),
    ),
    8: (
        "what a second connect wipes",
        (
            test_connect.test_running_it_again_takes_nothing_away,
            test_connect.test_open_registration_of_an_existing_attachment_is_not_ignored,
            test_connect.test_a_minted_token_goes_into_the_token_file_and_the_second_run_presents_it,
            test_workspace.test_weakness_cli_8_rooms_and_dms_that_a_change_does_not_name_survive_it,
        ),
    ),
    9: ("a token that is never sent", (test_weaknesses.test_a_token_is_sent_although_no_mode_was_named,)),
    10: (
        "secrets in sight",
        (
            test_weaknesses.test_no_secret_has_to_be_an_argument,
            test_weaknesses.test_a_token_may_come_from_a_file_under_both_names,
            test_connect.test_a_token_may_be_given_and_is_never_shown,
            test_register_agent.test_a_token_file_keeps_the_token,
            test_workspace.test_weakness_cli_10_an_identity_is_written_whole_and_private,
        ),
    ),
    11: (
        "commands that are missing",
        (
            test_workspace_commands.TestWhoIAm.test_it_names_the_agent_and_what_its_token_allows,
            test_workspace_commands.TestWhoIAm.test_status_says_how_each_attachment_stands,
            test_workspace_commands.TestDoctor.test_each_problem_is_named_with_what_to_do,
            test_workspace_commands.TestLeaving.test_rooms_go_and_the_rest_stays,
            test_administration.TestRooms.test_a_room_s_life,
            test_workspace_commands.TestTokens.test_those_of_agents_are_listed,
            test_control.test_the_status_shows_connections_queues_brakes_and_turns,
            test_pair.test_an_invitation_is_printed_alone_and_kept_without_its_secret,
            test_approvals.test_what_waits_is_listed_decided_and_shown,
            test_backup.test_conversations_are_exported_and_begin_a_network,
        ),
    ),
    12: (
        "half of the conversations",
        (
            test_read.test_conversations_are_the_attached_rooms_of_all_pages_and_the_dms,
            test_read.test_rooms_are_shown_although_dms_are_forbidden,
            test_read.test_participants_are_names_and_presence_for_people,
        ),
    ),
    13: (
        "other directories, several programs",
        (
            test_client.test_weakness_cli_13_the_search_climbs_to_the_workspace,
            test_weaknesses.test_a_command_finds_its_workspace_from_any_directory_below,
            test_workspace.test_weakness_cli_13_writers_at_the_same_time_lose_nothing,
            test_weaknesses.test_of_connects_at_the_same_time_none_is_lost,
        ),
    ),
    14: (
        "words that are passed over",
        (
            test_node_cli.test_a_word_that_is_neither_file_nor_command_is_said_to_be_neither,
            test_weaknesses.test_words_too_many_are_an_error,
            test_update.test_pip_installs_the_version_that_was_named,
            test_validate.test_weakness_cli_14_every_kind_of_file_can_be_validated,
            test_workspace_commands.TestDoctor.test_a_good_workspace_has_no_problem,
        ),
    ),
    15: (
        "pi, and runtimes that nobody knows",
        (
            test_skill.TestInstall.test_the_bundled_skill_goes_where_the_runtime_looks,
            test_weaknesses.test_a_runtime_is_known_or_refused_before_anything_is_written,
        ),
    ),
}
