"""Collecting what is wrong: order, lines, blame, and what is said once only."""

import pytest

from moltnet.config.problems import ConfigError, Findings


def lines(findings: Findings) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        findings.raise_if_any()
    return str(caught.value).splitlines()


def test_problems_are_printed_in_the_order_of_the_file_with_the_nearest_line() -> None:
    findings = Findings("Moltnet", {"$": 1, "$.rooms": 4, "$.rooms[1]": 7, "$.network": 2})
    findings.add("$.rooms[1].id", "is required")
    findings.add("$.network.id", "is odd")
    findings.add("$", "must be private")
    assert lines(findings) == [
        "Moltnet:2: $.network.id: is odd",
        "Moltnet:7: $.rooms[1].id: is required",
        "Moltnet: must be private",
    ]


def test_no_problem_raises_nothing() -> None:
    findings = Findings("Moltnet")
    findings.settle("$.a")
    findings.add("$.a.b", "follows from something reported before")
    findings.raise_if_any()


def test_a_problem_of_the_environment_names_the_variable_and_no_file() -> None:
    findings = Findings("Moltnet", {"$.pairings": 9})
    findings.blame("$.pairings", "MOLTNET_PAIRINGS_JSON")
    findings.add("$.pairings[0].id", "is required")
    assert lines(findings) == ["MOLTNET_PAIRINGS_JSON[0].id: is required"]


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("$.rooms[12].members[0]", "$.rooms[12].members[0]"),
        ("$.rooms2", "$.rooms2"),
        ("$.auth.tokens[0].value:3f9c2b7e", "$.auth.tokens[0].…"),
        ("$.auth.tokens[0].3f9c2b7e5d1a8046", "$.auth.tokens[0].…"),
        ("$.a b.c", "$.…"),
        ("MOLTNET_PAIRINGS_JSON[0].id", "MOLTNET_PAIRINGS_JSON[0].id"),
    ],
)
def test_a_key_that_looks_like_no_key_is_not_shown(path: str, shown: str) -> None:
    findings = Findings("f")
    findings.add(path, "is odd")
    assert lines(findings) == [f"{shown}: is odd" if path.startswith("M") else f"f: {shown}: is odd"]


def test_the_same_problem_is_printed_once() -> None:
    findings = Findings("Moltnet")
    findings.add("$.a", "is wrong")
    findings.add("$.a", "is wrong")
    assert lines(findings) == ["Moltnet: $.a: is wrong"]
