"""What a test's programs have left on disk, searched for the secrets that stand in their configuration.

Every end-to-end test ends with this search (`conftest.py`); `test_no_secret_anywhere.py` looks further: at answers,
command lines and the tables of a database.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.e2e.evidence import Evidence

# Where people and programs are meant to keep a secret: configuration, token files, and what a shell sources.
_NAMES: Final = re.compile(r"Moltnet(Node)?|.+\.(token|env)|config\.json|(Moltnet|bridge).*\.(json|ya?ml)")
_AGENT_TOKEN: Final = re.compile(r"magt_v1_[A-Za-z0-9_-]{43}")
# Of a key that names a secret; shorter values are words that stand anywhere.
_VALUE: Final = re.compile(r"\b(?:previous_)?(?:value|token)\"?\s*[:=]\s*[\"']?([^\s\"',}]{16,})")


def secrets_below(directory: Path) -> Mapping[str, str]:
    """Every secret that a file below a directory is there to hold, by that file and a number."""
    found: dict[str, str] = {}
    for path in _declared(directory):
        text = path.read_text(errors="replace")
        values = {*_AGENT_TOKEN.findall(text), *_VALUE.findall(text)}
        if path.suffix == ".token" and text.strip():
            values.add(text.strip())
        for number, value in enumerate(sorted(values)):
            found[f"{path.relative_to(directory)} {number}"] = value
    return found


def leaks_below(directory: Path) -> list[str]:
    """Where a secret stands that does not belong there, with what stands around it."""
    secrets = secrets_below(directory)
    if not secrets:
        return []
    evidence = Evidence()
    evidence.add_files(directory, declared=_declared(directory))
    return [evidence.around(leak, secrets) for leak in evidence.search(secrets)]


def _declared(directory: Path) -> list[Path]:
    files = (path for path in directory.rglob("*") if path.is_file() and not path.is_symlink())
    return [path for path in files if _NAMES.fullmatch(path.name)]
