"""What Moltnet is made of besides its own code: the audit of it, the licence list, and the bill of materials.

Everything comes from ``pyproject.toml``, the metadata of what is installed, and ``dependencies.toml`` beside this file.

    python -m scripts.dependencies audit | licences | sbom
"""

import json
import re
import sys
import tomllib
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import attrs
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from moltnet import __version__

ROOT = Path(__file__).parent.parent
KNOWLEDGE = Path(__file__).with_name("dependencies.toml")
DECISION = ROOT / "docs" / "decisions" / "0002-dependencies.md"
CYCLONEDX = "1.6"


@attrs.frozen
class Component:
    """An installed package. ``licence`` is an SPDX expression, or what the package says instead."""

    name: str
    version: str
    licence: str
    requires: tuple[str, ...]

    @property
    def purl(self) -> str:
        return f"pkg:pypi/{self.name}@{self.version}"


@attrs.frozen
class Bad:
    """Versions of a package that must not be installed."""

    name: str
    versions: SpecifierSet
    why: str


@attrs.frozen
class Knowledge:
    """What ``dependencies.toml`` says."""

    allowed: frozenset[str]
    spelled: Mapping[str, str]
    read: Mapping[str, str]
    bad: Sequence[Bad]

    @classmethod
    def load(cls, text: str) -> "Knowledge":
        data = tomllib.loads(text)
        bad = [Bad(each["name"], SpecifierSet(each["versions"]), each["why"]) for each in data.get("bad", ())]
        return cls(frozenset(data["allowed"]), data.get("spelled", {}), data.get("read", {}), bad)

    def licence_of(self, name: str, about: Any) -> str:
        """``about`` is the metadata of a package."""
        said = (about["License-Expression"] or self.read.get(name) or about["License"] or "").strip()
        if not said or "\n" in said:
            classifiers = about.get_all("Classifier") or []
            kinds = [each.split(" :: ")[-1] for each in classifiers if each.startswith("License ::")]
            said = " AND ".join(kinds)
        return self.spelled.get(said, said) or "unknown"

    def permits(self, licence: str) -> bool:
        """Of alternatives one must be allowed, of what holds together all. Parentheses may hold alternatives."""
        inner = re.sub(r"\(([^()]*)\)", lambda group: self._one_of(group[1]), licence)
        return self._one_of(inner) != ""

    def _one_of(self, expression: str) -> str:
        for alternative in expression.split(" OR "):
            if all(part.strip() in self.allowed for part in alternative.split(" AND ")):
                return alternative.split(" AND ")[0].strip()
        return ""


@attrs.frozen
class Project:
    """What ``pyproject.toml`` asks for."""

    runtime: Sequence[Requirement]
    development: Sequence[Requirement]

    @classmethod
    def load(cls, text: str) -> "Project":
        project = tomllib.loads(text)["project"]
        extras = project.get("optional-dependencies", {})
        return cls(
            [Requirement(line) for line in project["dependencies"]],
            [Requirement(line) for lines in extras.values() for line in lines],
        )


def installed(requirements: Iterable[Requirement], knowledge: Knowledge) -> list[Component]:
    """These packages and all that they need here, by name. Raises ``PackageNotFoundError`` for one that is missing."""
    found: dict[str, Component] = {}
    waiting = [(requirement.name, frozenset(requirement.extras)) for requirement in requirements]
    while waiting:
        wanted, extras = waiting.pop()
        name = canonicalize_name(wanted)
        distribution = metadata.distribution(name)
        needs = list(_needs(distribution, extras))
        known = found.get(name)
        if known is None or not set(needs) <= set(known.requires):
            waiting += [(each.name, frozenset(each.extras)) for each in map(Requirement, needs)]
            about = distribution.metadata
            merged = tuple(sorted({*needs, *(known.requires if known else ())}))
            found[name] = Component(name, distribution.version, knowledge.licence_of(name, about), merged)
    return [found[name] for name in sorted(found)]


def _needs(distribution: metadata.Distribution, extras: frozenset[str]) -> Iterator[str]:
    for line in distribution.requires or ():
        requirement = Requirement(line)
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": each}) for each in {"", *extras}):
            requirement.marker = None
            yield str(requirement)


def problems(project: Project, decision: str, components: Iterable[Component], knowledge: Knowledge) -> list[str]:
    """What an operator should not have to find out: open ranges, unexplained packages, licences, bad versions."""
    found: list[str] = []
    for requirement in (*project.runtime, *project.development):
        operators = {each.operator for each in requirement.specifier}
        if not {">=", "<"} <= operators:
            found.append(f"{requirement.name}: pyproject.toml gives no range (>=, <)")
    explained = {word for row in re.findall(r"^\| ([^|]+) \|", decision, re.MULTILINE) for word in row.split(", ")}
    found += [
        f"{each.name}: {DECISION.name} does not say why" for each in project.runtime if each.name not in explained
    ]
    wanted = {canonicalize_name(each.name): each.specifier for each in (*project.runtime, *project.development)}
    for component in components:
        if not knowledge.permits(component.licence):
            found.append(f"{component.name}: the licence {component.licence!r} is not allowed")
        if component.version not in wanted.get(canonicalize_name(component.name), SpecifierSet()):
            found.append(f"{component.name}: {component.version} is installed, outside of its range")
        found += [
            f"{component.name}: {component.version} is installed; {bad.why}"
            for bad in knowledge.bad
            if bad.name == component.name and bad.versions.contains(component.version, prereleases=True)
        ]
    return found


def licence_lines(components: Iterable[Component]) -> Iterator[str]:
    yield f"moltnet {__version__} is under the MIT licence. It runs on these packages:"
    yield ""
    for component in components:
        yield f"{component.name} {component.version}: {component.licence}"


def bill_of_materials(components: Sequence[Component], made_at: datetime) -> dict[str, Any]:
    """CycloneDX: what a release consists of when it is installed with these packages."""
    own = f"pkg:pypi/moltnet@{__version__}"
    by_name = {component.name: component for component in components}
    direct = [canonicalize_name(each.name) for each in Project.load(_pyproject()).runtime]
    serial = uuid.uuid5(uuid.NAMESPACE_URL, " ".join([own, *(each.purl for each in components)]))

    def refs(names: Iterable[str]) -> list[str]:
        return sorted(by_name[name].purl for name in names if name in by_name)

    return {
        "bomFormat": "CycloneDX",
        "specVersion": CYCLONEDX,
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "timestamp": made_at.astimezone(UTC).isoformat(timespec="seconds"),
            "component": {
                "type": "application",
                "bom-ref": own,
                "name": "moltnet",
                "version": __version__,
                "purl": own,
                "licenses": [{"expression": "MIT"}],
            },
        },
        "components": [
            {
                "type": "library",
                "bom-ref": each.purl,
                "name": each.name,
                "version": each.version,
                "purl": each.purl,
                "licenses": [{"expression": each.licence}],
            }
            for each in components
        ],
        "dependencies": [
            {"ref": own, "dependsOn": refs(direct)},
            *(
                {
                    "ref": each.purl,
                    "dependsOn": refs(canonicalize_name(Requirement(need).name) for need in each.requires),
                }
                for each in components
            ),
        ],
    }


def _pyproject() -> str:
    return (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def main(what: str) -> int:
    knowledge, project = Knowledge.load(KNOWLEDGE.read_text(encoding="utf-8")), Project.load(_pyproject())
    components = installed(project.runtime, knowledge)
    match what:
        case "licences":
            print(*licence_lines(components), sep="\n")
        case "sbom":
            print(json.dumps(bill_of_materials(components, datetime.now(UTC)), indent=2))
        case "audit":
            found = problems(project, DECISION.read_text(encoding="utf-8"), components, knowledge)
            print(*(found or [f"{len(components)} packages, nothing to object to"]), sep="\n")
            return 1 if found else 0
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else ""))
