"""Loading a ``MoltnetNode`` file: the attachments that one node supervises (node and bridge §2 to §8).

The rules of an attachment are ``bridge.attachment_rules``; here is what concerns the file and its shared block.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs

from bridge import limits
from bridge.attachment_file import AttachmentKeys, BrakeKeys, ServerKeys
from bridge.attachment_rules import AttachmentRules
from bridge.brake_rules import brake_settings, check_range
from bridge.settings import AttachmentConfig, BrakeSettings
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
    parallel_turns: int | None = None
    brakes: BrakeKeys = attrs.field(factory=BrakeKeys)


@attrs.frozen
class NodeConfig:
    """What a node runs. ``attachments`` may be empty; ``state_path`` is where all of their state lies.

    ``parallel_turns`` bounds the turns of all of them together.
    """

    attachments: tuple[AttachmentConfig, ...]
    source: Path
    state_path: Path
    parallel_turns: int = limits.TURNS_PER_NODE


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


def load_node_config(path: Path | None, environ: Mapping[str, str], cwd: Path, *, is_start: bool = False) -> NodeConfig:
    """The attachments of a node file. Raises ``ConfigError`` with everything that is wrong.

    Blocks on the file system. ``environ`` is used to find the file and to look at a shared token of an open network.
    ``is_start`` looks at the tokens of each attachment too, as they are at this moment; afterwards they are resolved by
    the attachment that uses them.
    """
    file, keys, findings = read_shape(find_node_config(path, environ, cwd), NodeFile)
    directory = file.path.parent
    if keys.version.strip() not in ("", VERSION):
        findings.add("$.version", f"must be {VERSION}")
    state_path = rebased(keys.state_path.strip() or DEFAULT_STATE_PATH, directory)
    check_range(keys.parallel_turns, limits.MAX_PARALLEL_TURNS, findings, "$.parallel_turns")
    brakes = brake_settings(keys.brakes, BrakeSettings(), findings, "$.brakes")
    rules = AttachmentRules(findings, keys.moltnet, directory, state_path, keys.checked(findings, ROOT), brakes)
    rules.check_server()
    _check_shared_open_token(rules, findings, environ)
    _check_unique_agents(keys, findings)
    attachments = tuple(
        rules.attachment(attachment, f"$.attachments[{index}]") for index, attachment in enumerate(keys.attachments)
    )
    _check_own_tokens(attachments, findings)
    if is_start:
        _check_present_tokens(attachments, findings, environ)
    if keys.moltnet.token or any(attachment.holds_secrets() for attachment in keys.attachments):
        for problem in file.privacy_problems():
            findings.add(ROOT, problem)
    findings.raise_if_any()
    return NodeConfig(attachments, file.path, state_path, keys.parallel_turns or limits.TURNS_PER_NODE)


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


def _check_own_tokens(attachments: tuple[AttachmentConfig, ...], findings: Findings) -> None:
    """On an open network no two attachments keep their token in one file: whoever claims first would be both."""
    seen: dict[Path, int] = {}
    for index, attachment in enumerate(attachments):
        server = attachment.server
        if server.auth_mode is not AuthMode.OPEN or server.token is None or server.token.path is None:
            continue
        if server.shares_token:
            continue
        first = seen.setdefault(server.token.path, index)
        if first != index:
            findings.add(
                f"$.attachments[{index}].moltnet.token_path",
                f"is already the token file of attachments[{first}]; each agent claims its id with a token of its own",
            )


def _check_present_tokens(
    attachments: tuple[AttachmentConfig, ...], findings: Findings, environ: Mapping[str, str]
) -> None:
    """Variables must hold their token when the node starts, and a generated token is one agent's."""
    seen: dict[str, int] = {}
    missing: dict[str, str] = {}
    for index, attachment in enumerate(attachments):
        source = attachment.server.token
        if source is None:
            continue
        place = "$.moltnet" if attachment.server.shares_token else f"$.attachments[{index}].moltnet"
        try:
            token = source.resolve(environ)
        except TokenUnavailable as unavailable:
            told = attachment.server.shares_token and attachment.server.auth_mode is AuthMode.OPEN
            if source.env is not None and not told:
                missing[f"{place}.token_env"] = str(unavailable)
            continue
        first = seen.setdefault(token, index)
        if first != index and token.startswith(AGENT_TOKEN_PREFIX):
            findings.add(
                place,
                f"has the generated agent token of attachments[{first}], which proves that agent only; "
                "give each attachment its own",
            )
    for path, problem in missing.items():
        findings.add(path, problem)


def _check_unique_agents(keys: NodeFile, findings: Findings) -> None:
    seen: dict[str, int] = {}
    for index, attachment in enumerate(keys.attachments):
        agent_id = attachment.agent.id.strip()
        first = seen.setdefault(agent_id, index)
        if agent_id and first != index:
            findings.add(f"$.attachments[{index}].agent.id", f"is already the agent of attachments[{first}]")
