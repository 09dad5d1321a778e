"""What the environment changes in a ``Moltnet`` file (server configuration §4).

A blank variable counts as unset. What a variable sets goes through the same rules as the file, and its problems bear
the variable's name.
"""

from collections.abc import Mapping
from typing import Any, Final

import attrs

from moltnet.config.documents import parse_document
from moltnet.config.problems import ROOT, Findings
from moltnet.config.secrets import Secret
from moltnet.config.server_file import PairingKeys, ServerFile
from moltnet.config.shapes import structure

_TEXTS: Final = {
    "MOLTNET_LISTEN_ADDR": ("server", "listen_addr"),
    "MOLTNET_NETWORK_ID": ("network", "id"),
    "MOLTNET_NETWORK_NAME": ("network", "name"),
    "MOLTNET_CONSOLE_ANALYTICS_PROVIDER": ("server", "console", "analytics", "provider"),
    "MOLTNET_CONSOLE_ANALYTICS_MEASUREMENT_ID": ("server", "console", "analytics", "measurement_id"),
}
_BOOLEANS: Final = {
    "MOLTNET_ALLOW_HUMAN_INGRESS": ("server", "human_ingress"),
    "MOLTNET_ALLOW_DIRECT_MESSAGES": ("server", "direct_messages"),
    "MOLTNET_DEBUG_EVENTS": ("server", "debug_events"),
}
# In this order: of several, the last decides the kind.
_STORAGE: Final = {
    "MOLTNET_JSON_PATH": ("json", "path"),
    "MOLTNET_DATA_PATH": ("json", "path"),
    "MOLTNET_SQLITE_PATH": ("sqlite", "path"),
    "MOLTNET_POSTGRES_DSN": ("postgres", "dsn"),
}
_TRUE: Final = ("1", "true", "yes", "on")
_FALSE: Final = ("0", "false", "no", "off")


@attrs.frozen
class _PairingsDocument:
    pairings: tuple[PairingKeys, ...] = ()


def with_environment(file: ServerFile, environ: Mapping[str, str], findings: Findings) -> ServerFile:
    """``file`` with every override in place."""
    present = {name: text.strip() for name, text in environ.items() if name.startswith("MOLTNET_") and text.strip()}
    for name, keys in _TEXTS.items():
        if name in present:
            file = _replaced(file, keys, present[name], name, findings)
    for name, keys in _BOOLEANS.items():
        if name in present:
            truth = _truth(present[name])
            if truth is None:
                # Ignoring it would leave open what the operator meant to close.
                findings.add(name, f"must be one of {', '.join(_TRUE + _FALSE)}")
            else:
                file = _replaced(file, keys, truth, name, findings)
    if "MOLTNET_PAIRINGS_JSON" in present:
        file = attrs.evolve(file, pairings=_pairings(present["MOLTNET_PAIRINGS_JSON"], findings))
    return _with_storage(file, present, findings)


def _with_storage(file: ServerFile, present: Mapping[str, str], findings: Findings) -> ServerFile:
    kind, decided_by = "", ""
    for name, (block, key) in _STORAGE.items():
        if name in present:
            value = Secret(present[name]) if key == "dsn" else present[name]
            file = _replaced(file, ("storage", block, key), value, name, findings)
            kind, decided_by = block, name
    if "MOLTNET_STORAGE_KIND" in present:
        kind, decided_by = present["MOLTNET_STORAGE_KIND"], "MOLTNET_STORAGE_KIND"
    return _replaced(file, ("storage", "kind"), kind, decided_by, findings) if kind else file


def _replaced(file: ServerFile, keys: tuple[str, ...], value: Any, variable: str, findings: Findings) -> ServerFile:
    findings.blame(".".join([ROOT, *keys]), variable)
    inner: list[Any] = [file]
    for key in keys[:-1]:
        inner.append(getattr(inner[-1], key))
    for holder, key in zip(reversed(inner), reversed(keys), strict=True):
        value = attrs.evolve(holder, **{key: value})
    changed: ServerFile = value
    return changed


def _truth(text: str) -> bool | None:
    return True if text.lower() in _TRUE else False if text.lower() in _FALSE else None


def _pairings(text: str, findings: Findings) -> tuple[PairingKeys, ...]:
    findings.blame(f"{ROOT}.pairings", "MOLTNET_PAIRINGS_JSON")
    document = parse_document(text.encode(), is_json=True)
    for problem in document.problems:
        findings.add(f"{ROOT}.pairings{problem.path.removeprefix(ROOT)}", problem.message)
    wrapped = attrs.evolve(document, root={"pairings": document.root})
    return structure(wrapped, _PairingsDocument, findings).pairings
