"""Weaknesses of the documents that agents read, by number, and the tests of each: a table of `test_completeness`."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.cli import test_skill
from tests.weaknesses import test_discovery_documents

DISCOVERY_DOCUMENTS: Final[Mapping[int, tuple[str, tuple[Callable[..., Any], ...]]]] = {
    1: (
        "what an agent may do",
        (test_discovery_documents.test_an_agent_is_told_what_it_may_really_read_and_send,),
    ),
    2: ("labels", (test_discovery_documents.test_the_label_is_about_rooms_and_a_member_sees_its_private_ones,)),
    3: ("told to claim again", (test_discovery_documents.test_who_has_a_credential_is_not_told_to_claim_an_id,)),
    4: (
        "guides refused or wrong",
        (test_discovery_documents.test_every_agent_gets_a_guide_and_its_commands_are_complete,),
    ),
    5: (
        "how to behave",
        (
            test_discovery_documents.test_the_skill_explains_threads_mentions_silence_and_whom_not_to_trust,
            test_discovery_documents.test_the_skill_explains_every_line_of_a_wake,
        ),
    ),
    6: (
        "injection",
        (
            test_discovery_documents.test_names_stay_values_and_nothing_is_added_to_a_document,
            test_discovery_documents.test_a_forwarded_host_of_a_stranger_counts_for_nothing,
            test_skill.TestUpdate.test_the_difference_is_shown_and_written_with_consent,
            test_skill.TestConnect.test_a_skill_that_differs_is_replaced_only_on_request_and_shown,
        ),
    ),
    7: ("scripts and links", (test_discovery_documents.test_nothing_is_fetched_from_elsewhere,)),
    8: ("snippets", (test_discovery_documents.test_node_files_work_as_they_are,)),
    9: ("many rooms", (test_discovery_documents.test_of_many_rooms_few_are_joined_and_the_rest_can_be_found,)),
    10: ("versions", (test_discovery_documents.test_a_skill_has_a_version_a_tag_and_a_twin_for_programs,)),
    11: ("woken by strangers", (test_discovery_documents.test_strangers_do_not_wake_an_agent_by_writing_to_it,)),
    12: ("YAML", (test_discovery_documents.test_ids_that_yaml_takes_for_something_else_stay_ids,)),
}
