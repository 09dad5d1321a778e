"""Loading a ``MoltnetNode`` file: the attachments that one node supervises (node and bridge §2 to §8).

The rules of an attachment are ``bridge.attachment_rules``; here is what concerns the file and its shared block.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs

from bridge.attachment_file import AttachmentKeys, ServerKeys
from bridge.attachment_rules import AttachmentRules
from bridge.settings import AttachmentConfig
from moltnet.config.files import discover, rebased
from moltnet.config.problems import ROOT, ConfigError, Findings, Problem
from moltnet.config.secrets import AGENT_TOKEN_PREFIX, TokenUnavailable
from moltnet.config.settings import AuthMode
from moltnet.config.shapes import read_shape
from moltnet.config.wake import PolicyKeys

VERSION: Final = "moltnet.node.v1"
CONFIG_NAMES: Final = ("MoltnetNode", "moltnet-node.yaml", "moltnet-node.yml", "moltnet-node.json")
CONFIG_VARIABLE: Final = "MOLTNET_NODE_CONFIG"
DEFAULT_STATE_PATH: Final = ".moltnet/node"


@attrs.frozen
class NodeFile(PolicyKeys):
    """The keys of the file. Its own policy keys are defaults for all attachments."""

    version: str = ""
    moltnet: ServerKeys = attrs.field(factory=ServerKeys)
    attachments: tuple[AttachmentKeys, ...] = ()
    state_path: str = ""


@attrs.frozen
class NodeConfig:
    """What a node runs. ``attachments`` may be empty; ``state_path`` is where all of their state lies."""

    attachments: tuple[AttachmentConfig, ...]
    source: Path
    state_path: Path


def find_node_config(path: Path | None, environ: Mapping[str, str], cwd: Path) -> Path:
    """The file to load: ``path``, else ``MOLTNET_NODE_CONFIG``, else the first of ``CONFIG_NAMES`` in ``cwd``.

    Raises ``ConfigError`` if there is none.
    """
    found = discover(
        explicit=path,
        variable=CONFIG_VARIABLE,
        names=CONFIG_NAMES,
        environ=environ,
        cwd=cwd,
        skip_directories=False,
    )
    if found is None:
        raise ConfigError(cwd, Problem(ROOT, f"no MoltnetNode file here (looked for {', '.join(CONFIG_NAMES)})"))
    return found


def load_node_config(path: Path | None, environ: Mapping[str, str], cwd: Path) -> NodeConfig:
    """The attachments of a node file. Raises ``ConfigError`` with everything that is wrong.

    Blocks on the file system. ``environ`` is used to find the file and to look at a shared token of an open network;
    other tokens are resolved by the attachment that uses them.
    """
    file, keys, findings = read_shape(find_node_config(path, environ, cwd), NodeFile)
    directory = file.path.parent
    if keys.version.strip() not in ("", VERSION):
        findings.add("$.version", f"must be {VERSION}")
    state_path = rebased(keys.state_path.strip() or DEFAULT_STATE_PATH, directory)
    rules = AttachmentRules(findings, keys.moltnet, directory, state_path, keys.checked(findings, ROOT))
    rules.check_server()
    _check_shared_open_token(rules, findings, environ)
    _check_unique_agents(keys, findings)
    attachments = tuple(
        rules.attachment(attachment, f"$.attachments[{index}]") for index, attachment in enumerate(keys.attachments)
    )
    if keys.moltnet.token or any(attachment.holds_secrets() for attachment in keys.attachments):
        for problem in file.privacy_problems():
            findings.add(ROOT, problem)
    findings.raise_if_any()
    return NodeConfig(attachments, file.path, state_path)


def _check_shared_open_token(rules: AttachmentRules, findings: Findings, environ: Mapping[str, str]) -> None:
    """On an open network a token proves one agent, unless an operator issued it for several and says so."""
    keys = rules.server
    source = rules.source(keys)
    if rules.mode(keys) is not AuthMode.OPEN or source is None:
        return
    if not keys.static_token:
        findings.add(
            "$.moltnet.static_token",
            "must be true for a token that all attachments share in mode open; generated agent tokens go to each "
            "attachment's own moltnet.token_path",
        )
        return
    place = "token" if source.inline else "token_env" if source.env else "token_path"
    try:
        token = source.resolve(environ)
    except TokenUnavailable as unavailable:
        findings.add(f"$.moltnet.{place}", str(unavailable))
        return
    if token.startswith(AGENT_TOKEN_PREFIX):
        findings.add(f"$.moltnet.{place}", "is a generated agent token, which proves one agent only")


def _check_unique_agents(keys: NodeFile, findings: Findings) -> None:
    seen: dict[str, int] = {}
    for index, attachment in enumerate(keys.attachments):
        agent_id = attachment.agent.id.strip()
        first = seen.setdefault(agent_id, index)
        if agent_id and first != index:
            findings.add(f"$.attachments[{index}].agent.id", f"is already the agent of attachments[{first}]")
