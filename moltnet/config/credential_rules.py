"""The rules for credentials in a ``Moltnet`` file: its auth block, and secrets that may come from elsewhere.

What a credential allows is decided in ``moltnet.auth``; this module decides only whether it may exist.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

import attrs

from moltnet.config.problems import Findings
from moltnet.config.secrets import Secret, TokenSource, TokenUnavailable, strength_problem
from moltnet.config.server_file import AuthKeys, TokenKeys
from moltnet.config.settings import AuthMode, AuthSettings, Registration, Scope, TokenSettings, derived_token_id
from moltnet.protocol.ids import AgentId, NetworkId, id_problem
from moltnet.protocol.times import utc_now

_RFC_3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII)
_RESERVABLE: Final = re.compile(r"[A-Za-z0-9._*?-]{1,128}", re.ASCII)


@attrs.frozen
class SecretKeys:
    """What a file has for one secret: the text itself, a variable's name, or a file's path."""

    inline: Secret | None
    env: str
    file: str

    def written(self, name: str) -> list[str]:
        """Which of ``name``, ``name_env`` and ``name_file`` are there; blank ones are not."""
        texts = {
            name: self.inline.reveal() if self.inline is not None else "",
            f"{name}_env": self.env,
            f"{name}_file": self.file,
        }
        return [key for key, text in texts.items() if text.strip()]

    def source(self, directory: Path) -> TokenSource:
        """Where to get it, if exactly one is written."""
        inline = self.inline if self.inline is not None and self.inline.reveal().strip() else None
        source = TokenSource.choose(token=inline, token_env=self.env, token_path=self.file, directory=directory)
        if source is None:
            raise ValueError("no secret is written")
        return source


@attrs.frozen(eq=False)
class CredentialRules:
    """``directory`` is where relative paths of secret files start. ``notices`` takes remarks for the operator."""

    findings: Findings
    environ: Mapping[str, str]
    directory: Path
    network_id: NetworkId
    notices: list[str]
    now: datetime = attrs.field(factory=utc_now)
    _ids: dict[str, int] = attrs.field(factory=dict, init=False)
    _values: dict[Secret, str] = attrs.field(factory=dict, init=False)
    _agents: dict[str, int] = attrs.field(factory=dict, init=False)

    def auth(self, keys: AuthKeys) -> AuthSettings:
        """The auth block. Tokens are checked in every mode: a list that is wrong today is used tomorrow."""
        # Open asks least of the rest of the file, so a misspelt mode does not bring complaints about other keys.
        mode = self.findings.choice("$.auth.mode", keys.mode, AuthMode.NONE, wrong=AuthMode.OPEN)
        registration = self.findings.choice("$.auth.agent_registration", keys.agent_registration, Registration.DISABLED)
        if mode is AuthMode.BEARER and not keys.tokens:
            self.findings.add("$.auth.tokens", "needs at least one token in mode bearer")
        is_open = mode is AuthMode.OPEN
        return AuthSettings(
            mode=mode,
            public_read=keys.public_read or is_open,
            agent_registration=Registration.OPEN if is_open else registration,
            tokens=tuple(self._token(index, token, mode) for index, token in enumerate(keys.tokens)),
            reserved_agents=self._reserved(keys.reserved_agents),
        )

    def secret(self, path: str, name: str, keys: SecretKeys, *, required: bool) -> Secret | None:
        """The one secret that ``name``, ``name_env`` or ``name_file`` gives; ``None`` if there is none, or none usable.

        Exactly one may be written, or none unless it is ``required``. A problem is noted at the key that has it, and
        never shows the secret.
        """
        match keys.written(name):
            case []:
                if required:
                    self.findings.add(f"{path}.{name}", f"is required (or {name}_env, or {name}_file)")
                return None
            case [key]:
                try:
                    return Secret(keys.source(self.directory).resolve(self.environ))
                except TokenUnavailable as unavailable:
                    self.findings.add(f"{path}.{key}", str(unavailable))
            case several:
                self.findings.add(f"{path}.{several[1]}", f"cannot stand beside {several[0]}; one source is enough")
        return None

    def _token(self, index: int, keys: TokenKeys, mode: AuthMode) -> TokenSettings:
        path = f"$.auth.tokens[{index}]"
        sources = SecretKeys(keys.value, keys.value_env, keys.value_file)
        value = self._live_value(path, "value", sources, required=mode is not AuthMode.NONE)
        token_id = keys.id.strip()
        if token_id:
            self._check_id(f"{path}.id", index, token_id)
        elif value is not None:
            token_id = derived_token_id(value)
        elif mode is AuthMode.NONE and not sources.written("value"):
            self.findings.add(f"{path}.id", "is required for a token without a value")
        previous = self._previous_value(path, keys)
        scopes = self._scopes(path, keys)
        return TokenSettings(
            id=token_id,
            value=value,
            scopes=scopes,
            agents=self._token_agents(path, index, keys),
            network=self._network(path, keys, scopes),
            expires_at=self._moment(f"{path}.expires_at", keys.expires_at),
            previous_value=previous,
            previous_expires_at=self._moment(f"{path}.previous_expires_at", keys.previous_expires_at),
        )

    def _live_value(self, path: str, name: str, sources: SecretKeys, *, required: bool) -> Secret | None:
        """A value that this server accepts from others: strong, and nobody else's."""
        value = self.secret(path, name, sources, required=required)
        if value is None:
            return None
        place = f"{path}.{sources.written(name)[0]}"
        if (problem := strength_problem(value.reveal())) is not None:
            self.findings.add(place, problem)
        elif (first := self._values.setdefault(value, place)) != place:
            self.findings.add(place, f"is the same as {first.removeprefix('$.')}")
        return value

    def _previous_value(self, path: str, keys: TokenKeys) -> Secret | None:
        name = "previous_value"
        sources = SecretKeys(keys.previous_value, keys.previous_value_env, keys.previous_value_file)
        if sources.written(name):
            if not keys.id.strip():
                # Without one, the id is made from the value, and a new value would be a new owner of agents.
                self.findings.add(f"{path}.id", "is required for a token with a previous value")
            return self._live_value(path, name, sources, required=False)
        if keys.previous_expires_at.strip():
            self.findings.add(f"{path}.previous_expires_at", "needs a previous value")
        return None

    def _network(self, path: str, keys: TokenKeys, scopes: frozenset[Scope]) -> NetworkId | None:
        network = keys.network.strip()
        if not network:
            return None
        problem = id_problem(network)
        if problem is None and ":" in network:
            problem = "must not hold a colon, which separates a network from an agent"
        if problem is None and network == self.network_id:
            problem = "is this network's own id; it names the network that the token is given to"
        if problem is None and scopes and Scope.PAIR not in scopes:
            problem = "needs the scope pair"
        if problem is not None:
            self.findings.add(f"{path}.network", problem)
        return NetworkId(network)

    def _moment(self, path: str, text: str) -> datetime | None:
        text = text.strip()
        if not text:
            return None
        try:
            if not _RFC_3339.fullmatch(text):
                raise ValueError
            moment = datetime.fromisoformat(text.upper())
            expired = moment <= self.now
        except (ValueError, OverflowError):
            self.findings.add(path, "must be a time with its zone, such as 2027-01-31T12:00:00Z")
            return None
        if expired:
            # Not an error: a file that was good must not keep a network from starting because time has passed.
            self.notices.append(f"{path.removeprefix('$.')} is in the past: that value is refused")
        return moment

    def _reserved(self, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for index, pattern in enumerate(patterns):
            if not _RESERVABLE.fullmatch(pattern.strip()):
                self.findings.add(
                    f"$.auth.reserved_agents[{index}]",
                    "must be an agent id, in which * stands for any text and ? for one character",
                )
        return tuple(dict.fromkeys(pattern.strip() for pattern in patterns))

    def _check_id(self, path: str, index: int, token_id: str) -> None:
        if (problem := id_problem(token_id)) is not None:
            self.findings.add(path, problem)
        elif (first := self._ids.setdefault(token_id, index)) != index:
            self.findings.add(path, f"is already the id of auth.tokens[{first}]")

    def _scopes(self, path: str, keys: TokenKeys) -> frozenset[Scope]:
        scopes: set[Scope] = set()
        if not keys.scopes:
            self.findings.add(f"{path}.scopes", f"needs at least one of {', '.join(Scope)}")
        for position, text in enumerate(keys.scopes):
            if text.strip() in tuple(Scope):
                scopes.add(Scope(text.strip()))
            else:
                self.findings.add(f"{path}.scopes[{position}]", f"must be one of {', '.join(Scope)}")
        return frozenset(scopes)

    def _token_agents(self, path: str, index: int, keys: TokenKeys) -> tuple[AgentId, ...]:
        agents: dict[AgentId, None] = {}
        for position, text in enumerate(keys.agents):
            agent_id = text.strip()
            place = f"{path}.agents[{position}]"
            if (problem := id_problem(agent_id) if agent_id else "is required") is not None:
                self.findings.add(place, problem)
            elif ":" in agent_id:
                self.findings.add(place, "must be an agent of this network, without a colon")
            elif (first := self._agents.setdefault(agent_id, index)) != index:
                self.findings.add(place, f"is already an agent of auth.tokens[{first}]; an agent has one token")
            else:
                agents[AgentId(agent_id)] = None
        return tuple(agents)
