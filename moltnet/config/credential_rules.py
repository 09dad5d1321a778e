"""The rules for credentials in a ``Moltnet`` file: its auth block, and secrets that may come from elsewhere.

What a credential allows is decided in ``moltnet.auth``; this module decides only whether it may exist.
"""

from collections.abc import Mapping
from pathlib import Path

import attrs

from moltnet.config.problems import Findings
from moltnet.config.secrets import Secret, TokenSource, TokenUnavailable, strength_problem
from moltnet.config.server_file import AuthKeys, TokenKeys
from moltnet.config.settings import AuthMode, AuthSettings, Registration, Scope, TokenSettings, derived_token_id
from moltnet.protocol.ids import AgentId, id_problem


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
    """``directory`` is where relative paths of secret files start."""

    findings: Findings
    environ: Mapping[str, str]
    directory: Path
    _ids: dict[str, int] = attrs.field(factory=dict, init=False)
    _values: dict[Secret, int] = attrs.field(factory=dict, init=False)
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
        )

    def secret(self, path: str, name: str, keys: SecretKeys, *, required: bool) -> Secret | None:
        """The one secret that ``name``, ``name_env`` or ``name_file`` gives; ``None`` if there is none, or none usable.

        Exactly one may be written. A problem is noted at the key that has it, and never shows the secret.
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
        value = self.secret(path, "value", sources, required=mode is not AuthMode.NONE)
        if value is not None:
            if (problem := strength_problem(value.reveal())) is not None:
                self.findings.add(f"{path}.value", problem)
            elif (first := self._values.setdefault(value, index)) != index:
                self.findings.add(f"{path}.value", f"is the same as that of auth.tokens[{first}]")
        token_id = keys.id.strip()
        if token_id:
            self._check_id(f"{path}.id", index, token_id)
        elif value is not None:
            token_id = derived_token_id(value)
        elif mode is AuthMode.NONE and not sources.written("value"):
            self.findings.add(f"{path}.id", "is required for a token without a value")
        return TokenSettings(
            id=token_id, value=value, scopes=self._scopes(path, keys), agents=self._token_agents(path, index, keys)
        )

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
            elif (first := self._agents.setdefault(agent_id, index)) != index:
                self.findings.add(place, f"is already an agent of auth.tokens[{first}]; an agent has one token")
            else:
                agents[AgentId(agent_id)] = None
        return tuple(agents)
