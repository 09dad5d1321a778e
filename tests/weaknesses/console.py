"""Weaknesses of the web console, by number, and the tests of each: a table of `test_completeness`."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.browser import (
    test_administering,
    test_conversations,
    test_current,
    test_finding,
    test_hostile,
    test_load,
    test_operating,
    test_shell,
    test_tabs,
)
from tests.http import test_console, test_requests
from tests.weaknesses import test_http_api, test_http_service

CONSOLE: Final[Mapping[int, tuple[str, tuple[Callable[..., Any], ...]]]] = {
    1: (
        "no threads",
        (
            test_conversations.test_a_thread_is_begun_and_counted,
            test_finding.test_what_was_said_is_found_by_words_sender_and_place,
        ),
    ),
    2: (
        "everything fetched for every event",
        (
            test_conversations.test_a_message_comes_live_and_counts_where_nobody_looks,
            test_load.test_fifty_messages_a_second_are_all_shown,
            test_finding.test_a_room_of_a_hundred_thousand_messages_scrolls_in_bounded_memory,
        ),
    ),
    3: (
        "first pages only",
        (
            test_current.test_rooms_beyond_the_first_pages_are_there_and_found,
            test_current.test_a_list_that_is_longer_than_what_is_read_says_so,
            test_finding.test_a_word_is_found_far_back_in_a_long_room,
        ),
    ),
    4: (
        "unread, notifications, history of events, gaps",
        (
            test_tabs.test_what_is_unread_stays_so_until_it_is_read,
            test_tabs.test_who_wants_it_is_notified_of_what_is_for_him_while_away,
            test_operating.test_events_are_filtered_held_still_and_saved,
            test_operating.test_events_of_the_past_come_from_the_server_page_by_page,
            test_current.test_after_a_gap_in_the_events_everything_is_fetched_anew,
        ),
    ),
    5: (
        "errors hidden",
        (
            test_conversations.test_a_list_that_failed_to_load_says_so_and_is_tried_again,
            test_conversations.test_a_refusal_is_shown_with_its_reason_and_can_be_discarded,
            test_shell.test_a_session_that_may_only_look_is_told_why,
            test_shell.test_somebody_signs_in_sees_who_he_is_and_signs_out,
            test_shell.test_a_session_that_ends_while_the_page_is_open_asks_for_a_token,
            test_tabs.test_a_mistake_of_the_page_is_shown_and_not_only_logged,
        ),
    ),
    6: (
        "what goes stale",
        (
            test_current.test_what_the_network_says_of_itself_is_asked_again,
            test_current.test_warnings_of_the_network_come_while_the_page_is_open,
            test_conversations.test_it_goes_on_after_the_server_was_started_again,
        ),
    ),
    7: (
        "one operator for all, said twice",
        (
            test_conversations.test_a_direct_conversation_is_begun_with_an_agent,
            test_conversations.test_a_double_enter_sends_once_and_shift_enter_is_a_line,
            test_conversations.test_what_could_not_be_sent_is_tried_again_and_said_once,
        ),
    ),
    8: (
        "wakes tied to nothing",
        (
            test_operating.test_presence_and_wakes_are_shown_as_they_happen,
            test_operating.test_what_became_of_older_wakes_is_asked_for,
            test_operating.test_an_approval_comes_and_is_decided,
        ),
    ),
    9: (
        "no administration",
        (
            test_operating.test_an_administrator_makes_a_room_and_changes_its_members,
            test_operating.test_an_administrator_makes_a_new_token_and_removes_an_agent,
            test_administering.test_a_room_gets_another_name_and_other_policies_before_all_eyes,
            test_administering.test_a_room_that_was_removed_is_restored_with_what_was_said,
            test_administering.test_an_agent_that_talks_too_much_is_muted_for_a_while,
            test_administering.test_a_pairing_rests_and_goes_on,
            test_administering.test_a_document_is_previewed_and_applied,
            test_administering.test_tokens_of_the_file_are_listed_without_their_values,
        ),
    ),
    10: (
        "presence by colour, names, equal ids",
        (
            test_operating.test_presence_and_wakes_are_shown_as_they_happen,
            test_current.test_agents_of_two_networks_with_one_id_are_two,
        ),
    ),
    11: (
        "desktops, the dark, the seeing",
        (
            test_shell.test_a_phone_shows_the_list_or_the_conversation,
            test_shell.test_colours_and_times_are_as_chosen_and_stay,
            test_shell.test_axe_finds_nothing_serious_in_any_view,
            test_shell.test_the_keyboard_reaches_everything,
            test_conversations.test_a_message_comes_live_and_counts_where_nobody_looks,
        ),
    ),
    12: (
        "token in the address and the cookie, strangers' scripts",
        (
            test_shell.test_somebody_signs_in_sees_who_he_is_and_signs_out,
            test_http_api.test_a_link_with_a_bad_token_plants_nothing_and_locks_nobody_out,
            test_http_service.test_a_browser_holds_a_session_that_ends_and_never_a_token,
            test_console.test_the_policy_lets_in_nothing_but_our_own_files,
            test_console.test_nothing_is_loaded_from_elsewhere,
            test_hostile.test_nothing_that_others_wrote_becomes_markup_in_any_view,
        ),
    ),
    13: (
        "what the guide promises",
        (
            test_operating.test_what_runs_an_agent_and_where_is_shown_to_who_may_know,
            test_administering.test_an_agent_that_talks_too_much_is_muted_for_a_while,
            test_current.test_warnings_of_the_network_come_while_the_page_is_open,
        ),
    ),
    14: (
        "pages of others that write",
        (
            test_http_service.test_a_page_of_somebody_else_changes_nothing_with_a_visitors_session,
            test_requests.TestWebPages.test_in_mode_none_other_origins_write_nothing,
        ),
    ),
}
