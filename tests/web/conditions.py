"""What befalls the crawler itself rather than comes to it from a host, and where it is tried."""

from dataclasses import dataclass

HERE = "tests/pipeline/crawl/"


@dataclass(frozen=True)
class Condition:
    """A number of the table that no server can serve, and the tests that stand for it."""

    number: int
    says: str
    outcome: str
    tests: tuple[str, ...]  # file::name


CONDITIONS = (
    Condition(
        69,
        "SIGKILL at every step: lease, WARC write, fsync, acknowledgement, outcomes",
        "each URL in exactly one outcome, no record doubled",
        (
            HERE + "test_kill.py::test_a_crawl_that_dies_at_any_step_goes_on",
            HERE + "test_kill.py::test_a_crawl_killed_in_every_phase_loses_and_doubles_nothing",
            HERE + "test_kill.py::test_two_thousand_hosts_survive_twenty_kills",
        ),
    ),
    Condition(
        70,
        "a disk that is full, or that may not be written to",
        "one clear line; with room made, the crawl goes on and nothing is lost or doubled",
        (
            HERE + "test_disk.py::test_a_crawl_on_a_full_disk_goes_on_once_there_is_room",
            HERE + "test_disk.py::test_a_crawl_whose_files_may_not_grow_goes_on_once_they_may",
            HERE + "test_disk.py::test_a_disk_that_fails_at_any_write_is_said_and_mended",
            HERE + "test_disk.py::test_two_thousand_hosts_survive_a_full_disk",
        ),
    ),
    Condition(
        71,
        "a torn last WARC record after a power cut",
        "cut back to the last acknowledged byte; digests of what stays are right",
        (
            HERE
            + "test_sink.py::test_a_crawl_goes_on_behind_all_that_is_there_and_changes_none_of_it",
            HERE + "test_sink.py::test_a_file_that_lost_acknowledged_bytes_is_named",
        ),
    ),
    Condition(
        72,
        "two crawls in one directory",
        "the second is refused",
        (HERE + "frontier/test_frontier.py::test_a_second_crawl_is_refused",),
    ),
    Condition(
        73,
        "the clock jumps by a day, either way, during a crawl or between two",
        "delays and leases as without; dates are those that the clock showed",
        (
            HERE + "test_clock.py::test_a_clock_that_jumps_during_a_crawl_disturbs_nothing",
            HERE
            + "test_clock.py::test_a_clock_set_back_between_two_crawls_parks_no_host_for_longer",
            HERE + "test_clock.py::test_two_thousand_hosts_survive_a_clock_that_jumps",
        ),
    ),
    Condition(
        74,
        "dumps with broken lines, without URLs, with lines of 300 MB, cut at their end",
        "skipped and counted by reason, nothing else lost",
        (
            "tests/pipeline/links/test_dumps.py::test_a_broken_line_is_told_and_its_neighbours_are_read",
            "tests/pipeline/links/test_dumps.py::test_stray_bytes_and_half_characters_cost_a_title_and_not_a_link",
            "tests/pipeline/links/test_dumps.py::test_a_line_too_long_is_told_with_its_length",
            "tests/pipeline/links/test_dumps.py::test_a_truncated_archive_is_one_row_after_all_that_could_be_read",
            "tests/pipeline/links/test_links.py::test_every_reason_is_given_with_its_line_and_what_decided_it",
        ),
    ),
)
