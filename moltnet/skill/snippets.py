"""MoltnetNode files for a reader to begin with: one for each runtime, with the rooms and the token that it will have.

Relative paths in such a file start at its own directory, which is the agent's workspace. Keys and values are those that
``node.config`` loads.
"""

from collections.abc import Iterator, Mapping
from typing import Final

import attrs

from moltnet.config.settings import AuthMode, Registration
from moltnet.skill.commands import AGENT_ID, AGENT_NAME, TOKEN_VARIABLE, token_path
from moltnet.skill.escaping import yaml_text
from moltnet.skill.profile import Profile


@attrs.frozen
class RuntimeNotes:
    """What a runtime needs. ``keys`` are its lines of YAML below ``runtime``."""

    about: str
    keys: tuple[str, ...]


RUNTIME_NOTES: Final[Mapping[str, RuntimeNotes]] = {
    "codex": RuntimeNotes(
        "Runs `codex exec` once per turn and resumes one Codex thread per conversation. Log in with `codex login` "
        "first. The node lets it write in its workspace and reach the network, without which it could not answer.",
        ('workspace_path: "."',),
    ),
    "claude-code": RuntimeNotes(
        "Runs `claude -p` once per turn and resumes one session per conversation. Without `--allowedTools` it may not "
        "run `moltnet` and stays silent.",
        ('workspace_path: "."', 'args: ["--allowedTools", "Bash(moltnet:*)"]'),
    ),
    "openclaw": RuntimeNotes(
        "Talks to a running OpenClaw gateway; `token` is the gateway's own, not one of this network.",
        ('gateway_url: "ws://127.0.0.1:18789"', 'token: "<token of the OpenClaw gateway>"'),
    ),
    "picoclaw": RuntimeNotes(
        "Talks to a running PicoClaw gateway whose channel `pico` is enabled; `token` is that channel's. "
        "Or name `config_path`, and each turn runs `picoclaw`.",
        ('events_url: "ws://127.0.0.1:18790/pico/ws"', 'token: "<token of PicoClaw\'s channel pico>"'),
    ),
    "tinyclaw": RuntimeNotes(
        "Puts each wake into TinyClaw's queue on this machine.",
        (
            'channel: "moltnet"',
            'inbound_url: "http://127.0.0.1:3777/api/message"',
            'outbound_url: "http://127.0.0.1:3777/api/responses/pending?channel=moltnet"',
            'ack_url: "http://127.0.0.1:3777/api/responses"',
        ),
    ),
    "pi": RuntimeNotes(
        "Posts each wake to a program of yours that drives pi.",
        ('control_url: "http://127.0.0.1:8080/turns"',),
    ),
    "command": RuntimeNotes(
        "Runs any program once per turn, with the wake on its standard input.",
        ('command: ["./agent.sh"]', 'workspace_path: "."'),
    ),
}


def node_file(profile: Profile, runtime: str) -> Iterator[str]:
    """The lines of a node file with one agent of this runtime. Raises ``KeyError`` for another."""
    yield "version: moltnet.node.v1"
    yield "moltnet:"
    yield f"  base_url: {yaml_text(profile.base_url)}"
    yield f"  network_id: {yaml_text(profile.network_id)}"
    yield f"  auth_mode: {_mode(profile)}"
    if profile.may_register:
        yield f"  registration: {Registration.OPEN}"
    yield "attachments:"
    yield "  - agent:"
    yield f"      id: {yaml_text(profile.agent or AGENT_ID)}"
    yield f"      name: {yaml_text(AGENT_NAME)}"
    if profile.mode is not AuthMode.NONE:
        yield "    moltnet:"
        if profile.may_register:
            yield f"      token_path: {yaml_text(token_path(profile))}"
        else:
            yield f"      token_env: {TOKEN_VARIABLE}"
    yield "    runtime:"
    yield f"      kind: {runtime}"
    for line in RUNTIME_NOTES[runtime].keys:
        yield f"      {line}"
    yield from _rooms(profile)
    yield "    dms:"
    yield f"      enabled: {'true' if profile.will_have_direct else 'false'}"
    if profile.will_have_direct:
        yield f"      wake: {direct_wake(profile)}"


def direct_wake(profile: Profile) -> str:
    """Where everybody may register, a direct message must not cost somebody else a turn unless it was asked for."""
    return "never" if profile.registration is Registration.OPEN else "all"


def _mode(profile: Profile) -> AuthMode:
    if profile.mode is AuthMode.NONE:
        return AuthMode.NONE
    return AuthMode.OPEN if profile.may_register else AuthMode.BEARER


def _rooms(profile: Profile) -> Iterator[str]:
    if not profile.joined:
        yield "    rooms: []"
        return
    yield "    rooms:"
    for room in profile.joined:
        yield f"      - id: {yaml_text(room.id)}"
        yield f"        wake: {'mentions' if room.writable else 'never'}"
