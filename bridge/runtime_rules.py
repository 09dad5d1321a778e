"""The rules of a ``runtime`` block: which keys belong to which kind, what is required, and what is assumed.

Whether the program exists is found out when it is started (node and bridge §4, §5).
"""

import re
import shlex
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

import attrs

from bridge.attachment_file import LimitKeys, RuntimeKeys
from bridge.containment_rules import process_limits, sandbox_settings
from bridge.limits import TURN_LONGEST_SECONDS
from bridge.runtimes.plugins import is_plugin
from bridge.settings import RuntimeConfig, RuntimeKind, SandboxKind
from moltnet.config.files import rebased
from moltnet.config.problems import Findings
from moltnet.config.urls import HTTP_SCHEMES, WEBSOCKET_SCHEMES, url_problem

OPENCLAW_GATEWAY: Final = "ws://127.0.0.1:18789"
OPENCLAW_PREFIX: Final = "agent:main"  # the agent that every gateway has
PICOCLAW_EVENTS: Final = "ws://127.0.0.1:18790/pico/ws"
TINYCLAW_BASE: Final = "http://127.0.0.1:3777"
TINYCLAW_CHANNEL: Final = "moltnet"

_PROGRAMS: Final = (
    RuntimeKind.CODEX,
    RuntimeKind.CLAUDE_CODE,
    RuntimeKind.PI,
    RuntimeKind.PICOCLAW,
    RuntimeKind.COMMAND,
)
# A key that is not here belongs to every kind.
_KINDS_OF_KEY: Final = {
    "gateway_url": (RuntimeKind.OPENCLAW,),
    "control_url": (RuntimeKind.PICOCLAW, RuntimeKind.TINYCLAW, RuntimeKind.PI),
    "events_url": (RuntimeKind.PICOCLAW,),
    "config_path": (RuntimeKind.PICOCLAW,),
    "inbound_url": (RuntimeKind.TINYCLAW,),
    "outbound_url": (RuntimeKind.TINYCLAW,),
    "ack_url": (RuntimeKind.TINYCLAW,),
    "command": _PROGRAMS,
    "args": _PROGRAMS,
    "env": _PROGRAMS,
    "limits": _PROGRAMS,
    "sandbox": _PROGRAMS,
    "sandbox_read": _PROGRAMS,
    "sandbox_write": _PROGRAMS,
    "sandbox_hide": _PROGRAMS,
    "sandbox_hosts": _PROGRAMS,
}
_SCHEMES_OF_KEY: Final = {
    "gateway_url": WEBSOCKET_SCHEMES,
    "events_url": WEBSOCKET_SCHEMES,
    "control_url": HTTP_SCHEMES,
    "inbound_url": HTTP_SCHEMES,
    "outbound_url": HTTP_SCHEMES,
    "ack_url": HTTP_SCHEMES,
}
_NOTHING: Final = (None, "", (), LimitKeys())
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def runtime_config(
    keys: RuntimeKeys, findings: Findings, path: str, *, directory: Path, agent_id: str, state_dir: Path
) -> RuntimeConfig:
    """The runtime that ``keys`` describe. Relative paths start at ``directory``, the configuration file's own."""
    rules = _Rules(keys, findings, path, directory)
    kind = rules.kind()
    rules.check_keys(kind)
    rules.check_numbers_and_names()
    config = RuntimeConfig(
        kind=kind,
        command=rules.command(kind),
        args=keys.args,
        env=tuple(dict.fromkeys(keys.env)),
        turn_seconds=keys.turn_seconds,
        limits=process_limits(keys.limits, keys.turn_seconds, findings, f"{path}.limits"),
        sandbox=sandbox_settings(keys, findings, path, directory=directory, state_dir=state_dir),
        workspace_path=rules.path_of(keys.workspace_path),
        home_path=rules.path_of(keys.home_path),
        config_path=rules.path_of(keys.config_path),
        session_store_path=rules.path_of(keys.session_store_path) or state_dir / "sessions.json",
        session_prefix=keys.session_prefix.strip() or _default_prefix(kind, agent_id),
        token=keys.token,
        channel=keys.channel.strip(),
        gateway_url=keys.gateway_url.strip(),
        control_url=keys.control_url.strip(),
        events_url=keys.events_url.strip(),
        inbound_url=keys.inbound_url.strip(),
        outbound_url=keys.outbound_url.strip(),
        ack_url=keys.ack_url.strip(),
        options=keys.options,
    )
    config = _with_assumptions(config, directory)
    rules.check_required(config)
    return config


def _default_prefix(kind: str, agent_id: str) -> str:
    return OPENCLAW_PREFIX if kind == RuntimeKind.OPENCLAW else f"agent:{agent_id}"


def _with_assumptions(config: RuntimeConfig, directory: Path) -> RuntimeConfig:
    """What each kind means when its file says nothing."""
    match config.kind:
        case RuntimeKind.CODEX if not config.command:
            return attrs.evolve(config, command=("codex",))
        case RuntimeKind.CLAUDE_CODE if not config.command:
            return attrs.evolve(config, command=("claude",))
        case RuntimeKind.PI if not config.command and not config.control_url:
            return attrs.evolve(config, command=("pi",))
        case RuntimeKind.COMMAND if config.workspace_path is None:
            return attrs.evolve(config, workspace_path=directory)
        case RuntimeKind.OPENCLAW if not config.gateway_url:
            return attrs.evolve(config, gateway_url=OPENCLAW_GATEWAY)
        case RuntimeKind.PICOCLAW if config.command or config.config_path:
            beside = config.config_path.parent if config.config_path is not None else directory
            return attrs.evolve(
                config, command=config.command or ("picoclaw",), workspace_path=config.workspace_path or beside
            )
        case RuntimeKind.PICOCLAW if not config.command and not config.control_url and not config.events_url:
            return attrs.evolve(config, events_url=PICOCLAW_EVENTS)
        case RuntimeKind.TINYCLAW if not config.control_url:
            return _tinyclaw_queue(config)
        case _:
            return config


def _tinyclaw_queue(config: RuntimeConfig) -> RuntimeConfig:
    given = (config.inbound_url, config.outbound_url, config.ack_url)
    usable = next((urlsplit(url) for url in given if url and url_problem(url) is None), None)
    base = f"{usable.scheme}://{usable.netloc}" if usable else TINYCLAW_BASE
    channel = config.channel or TINYCLAW_CHANNEL
    return attrs.evolve(
        config,
        channel=channel,
        inbound_url=config.inbound_url or f"{base}/api/message",
        outbound_url=config.outbound_url or f"{base}/api/responses/pending?channel={quote(channel, safe='')}",
        ack_url=config.ack_url or f"{base}/api/responses",
    )


@attrs.frozen(eq=False)
class _Rules:
    keys: RuntimeKeys
    findings: Findings
    path: str
    directory: Path

    def _note(self, key: str, problem: str | None) -> None:
        if problem:
            self.findings.add(f"{self.path}.{key}", problem)

    def kind(self) -> str:
        text = self.keys.kind.strip()
        if text and text not in tuple(RuntimeKind) and is_plugin(text):
            return text
        if not text:
            self._note("kind", f"is required: one of {', '.join(RuntimeKind)}")
        # A program asks least of the other keys, so an unknown kind does not bring complaints about them.
        return self.findings.choice(f"{self.path}.kind", text, RuntimeKind.COMMAND)

    def check_keys(self, kind: str) -> None:
        known = self.keys.kind.strip() == kind
        plugin = kind not in tuple(RuntimeKind)
        if known and not plugin and self.keys.options:
            self._note("options", f"belong to kinds that an installed package brings, not to {kind}")
        for key, kinds in _KINDS_OF_KEY.items():
            if plugin and kinds is _PROGRAMS:
                continue  # whether it runs a program is its own business
            if known and kind not in kinds and getattr(self.keys, key) not in _NOTHING:
                hint = "; use gateway_url" if kind == RuntimeKind.OPENCLAW and key == "control_url" else ""
                self._note(key, f"belongs to {_or(kinds)}, not to {kind}{hint}")
        for key, schemes in _SCHEMES_OF_KEY.items():
            url = getattr(self.keys, key).strip()
            self._note(key, url_problem(url, schemes) if url else None)

    def check_numbers_and_names(self) -> None:
        if not 0 < self.keys.turn_seconds <= TURN_LONGEST_SECONDS:
            self._note("turn_seconds", f"must be more than 0 and at most {TURN_LONGEST_SECONDS:g}")
        for index, name in enumerate(self.keys.env):
            if not _VARIABLE.fullmatch(name):
                self._note(f"env[{index}]", "must be the name of an environment variable, without a value")
        for index, argument in enumerate(self.keys.args):
            self._note(f"args[{index}]", "must not hold a null character" if "\0" in argument else None)

    def check_required(self, config: RuntimeConfig) -> None:
        known = self.keys.kind.strip() == config.kind
        if not known:
            return
        if config.sandbox.kind is not SandboxKind.NONE and not config.command and config.kind in tuple(RuntimeKind):
            self._note("sandbox", "needs a command: what runs elsewhere is not ours to contain")
        match config.kind:
            case RuntimeKind.CODEX | RuntimeKind.CLAUDE_CODE if config.workspace_path is None:
                self._note("workspace_path", f"is required for {config.kind}")
            case RuntimeKind.COMMAND if not config.command:
                self._note("command", "is required for command")
            case RuntimeKind.PICOCLAW if config.command and config.config_path is None:
                self._note("config_path", "is required when command is set")
            case RuntimeKind.PI if config.control_url and config.command:
                self._note("control_url", "is one way to reach pi and command the other; give one")
            case RuntimeKind.PI if not config.control_url and config.workspace_path is None:
                self._note("workspace_path", "is required for pi without control_url")
            case _:
                pass

    def command(self, kind: str) -> tuple[str, ...]:
        """The argv that ``command`` means. A program with a slash in it is a path from the file's directory."""
        written = self.keys.command
        if isinstance(written, str):
            # For the kinds that the reference knows, text names one program, blanks and all.
            argv = self._split(written) if kind == RuntimeKind.COMMAND else tuple(filter(None, [written.strip()]))
        else:
            argv = written
        if not argv:
            return ()
        if not argv[0].strip() or any("\0" in argument for argument in argv):
            self._note("command", "must start with a program and hold no null character")
            return argv
        return (str(rebased(argv[0], self.directory)) if "/" in argv[0] else argv[0], *argv[1:])

    def _split(self, text: str) -> tuple[str, ...]:
        try:
            return tuple(shlex.split(text))
        except ValueError as error:
            self._note("command", f"cannot be split into arguments: {str(error).lower()}")
            return (text,)

    def path_of(self, text: str) -> Path | None:
        return rebased(text.strip(), self.directory) if text.strip() else None


def _or(kinds: tuple[RuntimeKind, ...]) -> str:
    return " or ".join(filter(None, [", ".join(kinds[:-1]), kinds[-1]]))
