"""The audit of what Moltnet is made of: of this tree, and of packages that it has to object to."""

from datetime import UTC, datetime

import attrs
import pytest
from packaging.requirements import Requirement

from scripts.dependencies import (
    DECISION,
    KNOWLEDGE,
    ROOT,
    Component,
    Knowledge,
    Project,
    bill_of_materials,
    installed,
    licence_lines,
    problems,
)

OURS = Knowledge.load(KNOWLEDGE.read_text())
PROJECT = Project.load((ROOT / "pyproject.toml").read_text())
GOOD = Component("h11", "0.16.0", "MIT", ())


def test_nothing_is_wrong_with_what_we_depend_on() -> None:
    assert problems(PROJECT, DECISION.read_text(), installed(PROJECT.runtime, OURS), OURS) == []


def test_the_closure_reaches_what_others_need_and_no_tool_of_ours() -> None:
    names = {component.name for component in installed(PROJECT.runtime, OURS)}
    assert {"trio", "werkzeug", "cffi", "sniffio"} <= names
    assert names.isdisjoint({"pytest", "mypy", "moltnet", "exceptiongroup"})


@pytest.mark.parametrize(
    ("component", "said"),
    [
        (attrs.evolve(GOOD, licence="AGPL-3.0-only"), "the licence 'AGPL-3.0-only' is not allowed"),
        (attrs.evolve(GOOD, licence="MIT AND SSPL-1.0"), "is not allowed"),
        (attrs.evolve(GOOD, licence="unknown"), "is not allowed"),
        (attrs.evolve(GOOD, version="0.15.0"), "CVE-2025-43859"),
        (attrs.evolve(GOOD, version="0.15.0"), "outside of its range"),
    ],
)
def test_a_package_that_must_not_be_there_is_reported(component: Component, said: str) -> None:
    found = problems(PROJECT, DECISION.read_text(), [component], OURS)
    assert any(line.startswith("h11: ") and said in line for line in found)


@pytest.mark.parametrize(
    "licence", ["MIT", "GPL-3.0-only OR MIT", "MPL-2.0 AND (Apache-2.0 OR MIT)", "MIT AND PSF-2.0"]
)
def test_a_licence_that_can_be_kept_is_not_reported(licence: str) -> None:
    assert problems(PROJECT, DECISION.read_text(), [attrs.evolve(GOOD, licence=licence)], OURS) == []


def test_a_dependency_needs_a_range_and_a_reason() -> None:
    project = Project([Requirement("h11>=0.16,<0.17"), Requirement("left-pad")], [Requirement("mypy>=2")])
    assert problems(project, "| h11 | HTTP |", [], OURS) == [
        "left-pad: pyproject.toml gives no range (>=, <)",
        "mypy: pyproject.toml gives no range (>=, <)",
        "left-pad: 0002-dependencies.md does not say why",
    ]


def test_the_bill_names_every_package_and_who_needs_it() -> None:
    components = installed(PROJECT.runtime, OURS)
    bill = bill_of_materials(components, datetime(2026, 1, 2, tzinfo=UTC))
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    refs = {each["bom-ref"] for each in bill["components"]}
    assert len(refs) == len(components)
    graph = {each["ref"]: each["dependsOn"] for each in bill["dependencies"]}
    assert set(graph) == refs | {bill["metadata"]["component"]["bom-ref"]}
    assert {ref for needed in graph.values() for ref in needed} == refs
    assert bill == bill_of_materials(components, datetime(2026, 1, 2, tzinfo=UTC))


def test_the_list_of_licences_has_a_line_for_each() -> None:
    assert list(licence_lines([GOOD]))[-1] == "h11 0.16.0: MIT"
