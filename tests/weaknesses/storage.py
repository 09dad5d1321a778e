"""Weaknesses of the storage, by number, and the tests of each: a table of `test_completeness`."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.e2e import test_full_disks, test_killed_server
from tests.scale import test_races, test_sqlite_pages
from tests.storage import test_earlier_releases, test_snapshot, test_snapshot_crash, test_snapshot_faults
from tests.storage.backup import test_any_network
from tests.weaknesses import test_http_api, test_storage

STORAGE: Final[Mapping[int, tuple[str, tuple[Callable[..., Any], ...]]]] = {
    1: (
        "no log of events",
        (
            test_storage.test_events_and_wakes_are_there_after_a_restart,
            test_killed_server.test_a_server_on_sqlite_killed_at_any_moment_loses_and_repeats_nothing,
            test_killed_server.test_a_server_on_postgres_killed_at_any_moment_loses_and_repeats_nothing,
        ),
    ),
    2: ("several servers", (test_races.test_two_servers_on_one_database_are_one_network,)),
    3: ("order", (test_storage.test_order_survives_a_clock_that_steps_back_and_a_restart,)),
    4: ("settings of connections", (test_storage.test_every_connection_has_its_settings,)),
    5: (
        "one connection",
        (
            test_storage.test_reading_goes_on_while_a_write_waits,
            test_http_api.test_filtering_a_public_stream_reads_nothing_from_the_store,
        ),
    ),
    6: ("modes of files", (test_storage.test_a_directory_keeps_its_mode_and_the_files_in_it_are_private,)),
    7: (
        "json file",
        (
            test_snapshot_crash.test_every_commit_reaches_the_disk_before_it_is_acknowledged,
            test_snapshot_faults.test_a_commit_whose_directory_could_not_be_synced_is_not_acknowledged,
            test_snapshot.TestFiles.test_what_a_killed_writer_left_is_removed_and_nothing_else,
        ),
    ),
    8: (
        "whole tables",
        (
            test_storage.test_looking_up_rooms_agents_and_mentions_reads_nothing_from_the_store,
            test_sqlite_pages.test_a_page_costs_the_same_wherever_it_is_and_however_much_there_is,
        ),
    ),
    9: (
        "nothing goes, nothing is archived",
        (
            test_storage.test_a_removed_room_comes_back_with_its_messages,
            test_storage.test_what_is_old_goes_for_good_and_the_rest_stays,
            test_any_network.test_a_backup_restored_elsewhere_tells_the_same,
        ),
    ),
    10: ("credential of two agents", (test_storage.test_a_credential_that_owns_two_agents_speaks_for_both,)),
    11: ("damaged rows", (test_storage.test_a_damaged_row_is_never_passed_over_in_silence,)),
    12: (
        "newer schema",
        (
            test_storage.test_a_database_of_a_newer_program_is_refused_and_left_alone,
            test_earlier_releases.test_a_server_goes_on_with_it_and_leaves_the_newest_schema,
            test_storage.test_two_servers_never_share_one_database_file,
        ),
    ),
    13: (
        "stores that differ",
        (test_storage.test_all_stores_give_the_same_answers_before_and_after_a_restart,),
    ),
    14: (
        "health",
        (
            test_storage.test_a_disk_that_takes_no_writes_is_not_ready,
            test_full_disks.test_a_full_disk_under_sqlite,
            test_full_disks.test_a_full_disk_under_postgres,
        ),
    ),
}
