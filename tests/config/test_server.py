"""The ``Moltnet`` file: what its keys mean, what the environment changes, and when it must be private."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from moltnet.config.files import ConfigError
from moltnet.config.secrets import Secret
from moltnet.config.server import MoltnetConfig, load_server_config
from moltnet.config.settings import AuthMode, LogFormat, LogLevel, Registration, Scope, StorageKind, derived_token_id
from moltnet.config.urls import ListenAddress, derived_origins
from moltnet.protocol.rooms import Visibility, WritePolicy

Write = Callable[..., Path]

OPERATOR = "3f9c2b7e5d1a8046b9e7c2d4f1a35608"
ATTACHMENT = "c41d0a96e2b85f73a6d9084be17c5f23"

BEARER = f"""
auth:
  mode: bearer
  tokens:
    - {{id: operator, value: {OPERATOR}, scopes: [observe, write, admin]}}
"""


def load(path: Path | None, environ: Mapping[str, str] | None = None, *, overrides: bool = True) -> MoltnetConfig:
    cwd = path.parent if path is not None else Path("/nowhere")
    return load_server_config(path, environ or {}, cwd, overrides=overrides)


def problems(path: Path | None, environ: Mapping[str, str] | None = None) -> list[tuple[str, str]]:
    with pytest.raises(ConfigError) as caught:
        load(path, environ)
    return [(problem.path, problem.message) for problem in caught.value.problems]


def test_without_a_file_a_server_starts_on_loopback_with_sqlite(tmp_path: Path) -> None:
    config = load_server_config(None, {}, tmp_path)
    assert (config.network.id, config.network.name) == ("local", "Local Moltnet")
    assert str(config.server.listen_addr) == "127.0.0.1:8787"
    assert config.auth.mode is AuthMode.NONE
    assert config.storage.kind is StorageKind.SQLITE
    assert config.storage.sqlite is not None
    assert config.storage.sqlite.path == tmp_path / ".moltnet/moltnet.db"
    assert config.storage.event_retention_seconds == 7 * 86_400
    assert config.storage.message_retention_seconds is None
    assert (config.server.human_ingress, config.server.direct_messages, config.server.debug_events) == (
        True,
        True,
        False,
    )
    assert config.notices == ()
    assert config.source is None
    assert attrs.evolve(config, storage=MoltnetConfig().storage) == MoltnetConfig()


@pytest.mark.parametrize("text", ["{}", "network:\nserver:\nrooms:\nauth: {}\n"])
def test_a_file_that_says_nothing_means_the_defaults(write: Write, text: str) -> None:
    config = load(write(text))
    assert config == attrs.evolve(load_server_config(None, {}, config.source.parent), source=config.source)  # type: ignore[union-attr]  # a file was loaded


def test_every_key_reaches_its_setting(write: Write) -> None:
    config = load(
        write(f"""
        version: moltnet.v1
        network: {{id: shared_lab, name: Shared Lab}}
        server:
          listen_addr: "10.0.0.5:9000"
          human_ingress: no
          direct_messages: false
          debug_events: on
          delivery_window: 16
          allowed_origins: [https://Lab.Example/, "https://lab.example:443", "http://lab.example:8080"]
          trust_forwarded_proto: true
          allow_insecure_bind: true
          console: {{analytics: {{provider: google, measurement_id: G-ABC123}}}}
        auth:
          mode: bearer
          public_read: true
          agent_registration: token
          tokens:
            - {{id: operator, value: {OPERATOR}, scopes: [observe, admin]}}
            - {{value: {ATTACHMENT}, scopes: [attach, write, write], agents: [alpha, beta, alpha]}}
        storage:
          kind: postgres
          event_retention: 1d12h
          message_retention: 90d
          postgres: {{dsn: "postgres://moltnet:pw@db:5432/moltnet"}}
          sqlite: {{path: other.db}}
        rooms:
          - {{id: general, members: ["net_b:gamma", alpha, alpha], visibility: public, write_policy: registered_agents}}
          - {{id: quiet, name: Quiet corner}}
        pairings:
          - id: lab-b
            remote_network_id: net_b
            remote_network_name: Lab B
            remote_base_url: https://b.example/
            token: {OPERATOR[::-1]}
            status: connected
            diagnostics: {{reason: because}}
        log: {{level: WARNING, format: json}}
        """)
    )
    assert (config.network.id, config.network.name) == ("shared_lab", "Shared Lab")
    server = config.server
    assert server.listen_addr == ListenAddress("10.0.0.5", 9000)
    assert (server.human_ingress, server.direct_messages, server.debug_events) == (False, False, True)
    assert server.delivery_window == 16
    assert server.allowed_origins == ("https://lab.example", "http://lab.example:8080")
    assert (server.trust_forwarded_proto, server.allow_insecure_bind) == (True, True)
    assert server.analytics is not None
    assert (server.analytics.provider, server.analytics.measurement_id) == ("google", "G-ABC123")
    auth = config.auth
    assert (auth.mode, auth.public_read, auth.agent_registration) == (AuthMode.BEARER, True, Registration.TOKEN)
    operator, attachment = auth.tokens
    assert (operator.id, operator.value) == ("operator", Secret(OPERATOR))
    assert operator.scopes == frozenset({Scope.OBSERVE, Scope.ADMIN})
    assert operator.agents == ()
    assert attachment.id == derived_token_id(Secret(ATTACHMENT))
    assert attachment.agents == ("alpha", "beta")
    storage = config.storage
    assert (storage.kind, storage.event_retention_seconds) == (StorageKind.POSTGRES, 129_600)
    assert storage.message_retention_seconds == 90 * 86_400
    assert storage.postgres is not None
    assert storage.postgres.dsn.reveal() == "postgres://moltnet:pw@db:5432/moltnet"
    general, quiet = config.rooms
    assert (general.name, general.members) == ("general", ("alpha", "net_b:gamma"))
    assert (general.visibility, general.write_policy) == (Visibility.PUBLIC, WritePolicy.REGISTERED_AGENTS)
    assert (quiet.name, quiet.visibility, quiet.write_policy) == (
        "Quiet corner",
        Visibility.PRIVATE,
        WritePolicy.MEMBERS,
    )
    (pairing,) = config.pairings
    assert (pairing.id, pairing.remote_network_id, pairing.remote_network_name) == ("lab-b", "net_b", "Lab B")
    assert (pairing.remote_base_url, pairing.token) == ("https://b.example", Secret(OPERATOR[::-1]))
    assert (pairing.status, pairing.diagnostics) == ("connected", {"reason": "because"})
    assert (config.log.level, config.log.format) == (LogLevel.WARNING, LogFormat.JSON)


def test_a_json_file_is_read_by_its_extension(write: Write) -> None:
    assert load(write('{"network": {"id": "lab"}}', "moltnet.JSON")).network.id == "lab"
    assert problems(write("network: {id: lab}", "other.json")) == [("$", "is not valid JSON: Expecting value")]


def test_no_secret_is_in_what_a_configuration_prints(write: Write) -> None:
    config = load(write(BEARER + "storage: {kind: postgres, postgres: {dsn: 'postgres://u:hunter2@db/m'}}"))
    assert OPERATOR not in repr(config)
    assert "hunter2" not in repr(config)


def test_open_mode_implies_public_reading_and_open_registration(write: Write) -> None:
    auth = load(write("auth: {mode: open, public_read: false, agent_registration: disabled}")).auth
    assert (auth.public_read, auth.agent_registration, auth.tokens) == (True, Registration.OPEN, ())


@pytest.mark.parametrize(
    ("text", "address", "has_notice"),
    [
        ("{}", "127.0.0.1:8787", False),
        ('server: {listen_addr: ":9000"}', "127.0.0.1:9000", True),
        ('server: {listen_addr: ":9000", allow_insecure_bind: true}', ":9000", False),
        ("server: {allow_insecure_bind: true}", ":8787", False),
        ('server: {listen_addr: "0.0.0.0:9000", allow_insecure_bind: true}', "0.0.0.0:9000", False),
        ('server: {listen_addr: "[::1]:9000"}', "[::1]:9000", False),
        ('server: {listen_addr: "localhost:9000"}', "localhost:9000", False),
        ("auth: {mode: open}", ":8787", False),
        ('auth: {mode: open}\nserver: {listen_addr: "0.0.0.0:9000"}', "0.0.0.0:9000", False),
    ],
)
def test_without_sign_in_a_server_listens_to_this_machine_only(
    write: Write, text: str, address: str, has_notice: bool
) -> None:
    config = load(write(text))
    assert str(config.server.listen_addr) == address
    assert bool(config.notices) is has_notice
    assert config.server.allowed_origins == derived_origins(config.server.listen_addr)


@pytest.mark.parametrize("address", ["0.0.0.0:8787", "10.0.0.5:8787", "[::]:8787", "moltnet.internal:8787"])
def test_an_open_address_without_sign_in_needs_the_flag(write: Write, address: str) -> None:
    ((path, message),) = problems(write(f'server: {{listen_addr: "{address}"}}'))
    assert path == "$.server.listen_addr"
    assert "allow_insecure_bind" in message


def test_a_misspelt_mode_brings_no_complaint_about_the_address(write: Write) -> None:
    path = write('server: {listen_addr: "0.0.0.0:8787"}\nauth: {mode: baerer}')
    assert problems(path) == [("$.auth.mode", "must be one of none, bearer, open")]


def test_tokens_without_a_use_are_remarked_upon(write: Write) -> None:
    config = load(write("auth: {tokens: [{id: alpha, scopes: [attach], agents: [alpha]}]}"))
    assert config.auth.tokens[0].value is None
    assert ["auth.mode is none" in notice for notice in config.notices] == [True]


@pytest.mark.parametrize(
    ("text", "kind", "field", "path"),
    [
        ("storage: {kind: memory}", StorageKind.MEMORY, "sqlite", None),
        ("storage: {kind: sqlite}", StorageKind.SQLITE, "sqlite", ".moltnet/moltnet.db"),
        ("storage: {kind: sqlite, sqlite: {path: data/m.db}}", StorageKind.SQLITE, "sqlite", "data/m.db"),
        ("storage: {sqlite: {path: m.db}}", StorageKind.SQLITE, "sqlite", "m.db"),
        ("storage: {kind: json, json: {path: m.json}}", StorageKind.JSON, "json", "m.json"),
        ("server: {data_path: old.json}", StorageKind.JSON, "json", "old.json"),
        ("server: {data_path: old.json}\nstorage: {kind: memory}", StorageKind.MEMORY, "json", None),
    ],
)
def test_storage_is_chosen_and_its_path_starts_at_the_working_directory(
    write: Write, tmp_path: Path, text: str, kind: StorageKind, field: str, path: str | None
) -> None:
    file = write(text, "etc/Moltnet")
    storage = load_server_config(file, {}, tmp_path).storage
    block = getattr(storage, field)
    assert storage.kind is kind
    assert (None if block is None else block.path) == (None if path is None else tmp_path / path)


def test_a_secret_may_come_from_the_environment_or_a_file_beside_the_configuration(
    write: Write, tmp_path: Path
) -> None:
    write(f"{ATTACHMENT}\n", "etc/tokens/alpha")
    text = """
    auth:
      mode: bearer
      tokens:
        - {id: operator, value_env: OPERATOR_TOKEN, scopes: [admin]}
        - {id: alpha, value_file: tokens/alpha, scopes: [attach]}
    pairings:
      - {id: b, remote_base_url: "https://b", token_env: OPERATOR_TOKEN}
      - {id: c, remote_base_url: "https://c", token_file: tokens/alpha}
      - {id: d, remote_base_url: "https://d"}
    """
    # No inline secret, so the file need not be private.
    file = write(text, "etc/Moltnet", mode=0o644)
    config = load_server_config(file, {"OPERATOR_TOKEN": OPERATOR}, tmp_path)
    assert [token.value for token in config.auth.tokens] == [Secret(OPERATOR), Secret(ATTACHMENT)]
    assert [pairing.token for pairing in config.pairings] == [Secret(OPERATOR), Secret(ATTACHMENT), None]


# The settings are looked at through `Any`: a block that is missing fails the test as it should.
ENVIRONMENT: list[tuple[dict[str, str], Callable[[Any], Any], Any]] = [
    ({"MOLTNET_LISTEN_ADDR": "127.0.0.1:9001"}, lambda c: str(c.server.listen_addr), "127.0.0.1:9001"),
    ({"MOLTNET_LISTEN_ADDR": "127.0.0.1:9001"}, lambda c: c.server.allowed_origins[0], "http://localhost:9001"),
    ({"MOLTNET_LISTEN_ADDR": "  "}, lambda c: str(c.server.listen_addr), "127.0.0.1:8787"),
    (
        {"MOLTNET_NETWORK_ID": "lab", "MOLTNET_NETWORK_NAME": "Lab"},
        lambda c: (c.network.id, c.network.name),
        ("lab", "Lab"),
    ),
    ({"MOLTNET_ALLOW_HUMAN_INGRESS": "OFF"}, lambda c: c.server.human_ingress, False),
    ({"MOLTNET_ALLOW_DIRECT_MESSAGES": "0"}, lambda c: c.server.direct_messages, False),
    ({"MOLTNET_DEBUG_EVENTS": "Yes"}, lambda c: c.server.debug_events, True),
    (
        {"MOLTNET_CONSOLE_ANALYTICS_PROVIDER": "google", "MOLTNET_CONSOLE_ANALYTICS_MEASUREMENT_ID": "G-12345"},
        lambda c: c.server.analytics.measurement_id,
        "G-12345",
    ),
    ({"MOLTNET_JSON_PATH": "/d/m.json"}, lambda c: (c.storage.kind, str(c.storage.json.path)), ("json", "/d/m.json")),
    ({"MOLTNET_DATA_PATH": "/d/m.json"}, lambda c: (c.storage.kind, str(c.storage.json.path)), ("json", "/d/m.json")),
    ({"MOLTNET_SQLITE_PATH": "/d/m.db"}, lambda c: (c.storage.kind, str(c.storage.sqlite.path)), ("sqlite", "/d/m.db")),
    ({"MOLTNET_POSTGRES_DSN": "postgres://db/m", "MOLTNET_JSON_PATH": "/x"}, lambda c: c.storage.kind, "postgres"),
    ({"MOLTNET_SQLITE_PATH": "/d/m.db", "MOLTNET_STORAGE_KIND": "memory"}, lambda c: c.storage.kind, "memory"),
    (
        {"MOLTNET_PAIRINGS_JSON": json.dumps([{"id": "b", "remote_base_url": "https://b", "token": OPERATOR}])},
        lambda c: [(pairing.id, pairing.token) for pairing in c.pairings],
        [("b", Secret(OPERATOR))],
    ),
    ({"MOLTNET_PAIRINGS_JSON": "[]"}, lambda c: c.pairings, ()),
]


@pytest.mark.parametrize(("environ", "setting", "expected"), ENVIRONMENT)
def test_the_environment_overrides_the_file(
    write: Write, environ: dict[str, str], setting: Callable[[MoltnetConfig], Any], expected: object
) -> None:
    path = write("pairings: [{id: z, remote_base_url: 'https://z'}]\nstorage: {kind: json, json: {path: a.json}}")
    assert setting(load(path, environ)) == expected


def test_the_environment_is_left_out_on_request(write: Write) -> None:
    assert load(write("{}"), {"MOLTNET_NETWORK_ID": "lab"}, overrides=False).network.id == "local"


@pytest.mark.parametrize(
    ("environ", "path", "reason"),
    [
        ({"MOLTNET_NETWORK_ID": "a b"}, "MOLTNET_NETWORK_ID", "must start with"),
        ({"MOLTNET_LISTEN_ADDR": "0.0.0.0:80"}, "MOLTNET_LISTEN_ADDR", "allow_insecure_bind"),
        ({"MOLTNET_STORAGE_KIND": "mongo"}, "MOLTNET_STORAGE_KIND", "must be one of"),
        ({"MOLTNET_STORAGE_KIND": "postgres"}, "$.storage.postgres.dsn", "is required"),
        ({"MOLTNET_POSTGRES_DSN": "mysql://u:hunter2@db"}, "MOLTNET_POSTGRES_DSN", "must start with"),
        ({"MOLTNET_ALLOW_HUMAN_INGRESS": "flase"}, "MOLTNET_ALLOW_HUMAN_INGRESS", "must be one of"),
        ({"MOLTNET_PAIRINGS_JSON": "[{"}, "MOLTNET_PAIRINGS_JSON", "is not valid JSON"),
        ({"MOLTNET_PAIRINGS_JSON": '[{"id": "b"}]'}, "MOLTNET_PAIRINGS_JSON[0].remote_base_url", "is required"),
        ({"MOLTNET_PAIRINGS_JSON": '{"id": "b"}'}, "MOLTNET_PAIRINGS_JSON", "must be a list"),
    ],
)
def test_what_the_environment_sets_is_checked_and_blamed_on_the_variable(
    write: Write, environ: dict[str, str], path: str, reason: str
) -> None:
    ((where, message),) = problems(write("{}"), environ)
    assert where == path
    assert reason in message
    assert "hunter2" not in message


SECRETS = [
    BEARER,
    f"auth: {{tokens: [{{id: a, value: {OPERATOR}, scopes: [write]}}]}}",
    f"pairings: [{{id: b, remote_base_url: 'https://b', token: {OPERATOR}}}]",
    "storage: {kind: postgres, postgres: {dsn: 'postgres://db/m'}}",
]


@pytest.mark.parametrize("text", SECRETS)
def test_a_file_with_secrets_must_be_private_and_no_link(write: Write, tmp_path: Path, text: str) -> None:
    path = write(text)
    load(path)
    (tmp_path / "link").symlink_to(path)
    assert problems(tmp_path / "link") == [("$", "must not be a symlink when it holds secrets")]
    path.chmod(0o644)
    ((where, message),) = problems(path)
    assert where == "$"
    assert "group or others" in message


def test_a_file_without_secrets_may_be_open_and_a_link(write: Write, tmp_path: Path) -> None:
    path = write("network: {id: lab}", mode=0o666)
    (tmp_path / "link").symlink_to(path)
    assert load(tmp_path / "link").network.id == "lab"


def test_the_file_is_found_like_every_configuration(write: Write, tmp_path: Path) -> None:
    write("network: {id: by-name}", "moltnet.yml")
    write("network: {id: by-variable}", "elsewhere.yaml")
    assert load_server_config(None, {}, tmp_path).network.id == "by-name"
    assert load_server_config(None, {"MOLTNET_CONFIG": "elsewhere.yaml"}, tmp_path).network.id == "by-variable"
    with pytest.raises(ConfigError, match="missing: no such file"):
        load_server_config(None, {"MOLTNET_CONFIG": "missing"}, tmp_path)


class TestAStartInAnotherDirectory:
    def test_says_that_the_database_lies_beside_the_file(self, write: Write, tmp_path: Path) -> None:
        database, elsewhere = tmp_path / "lab/.moltnet/moltnet.db", tmp_path / "elsewhere"
        environ = {"MOLTNET_CONFIG": str(write("network: {id: lab}", "lab/Moltnet"))}
        assert load_server_config(None, environ, elsewhere).notices == ()
        database.parent.mkdir()
        database.touch()
        assert load_server_config(None, environ, elsewhere).notices == (
            f"no database at {elsewhere}/.moltnet/moltnet.db; there is one at {database}: start in that directory, "
            "or give an absolute storage.sqlite.path",
        )
        assert load_server_config(None, environ, tmp_path / "lab").notices == ()

    def test_is_fine_with_a_database_there_or_an_absolute_path(self, write: Write, tmp_path: Path) -> None:
        for path in (tmp_path / "lab/kept.db", tmp_path / "elsewhere/kept.db"):
            path.parent.mkdir()
            path.touch()
        config = write("storage: {sqlite: {path: kept.db}}", "lab/Moltnet")
        assert load_server_config(config, {}, tmp_path / "elsewhere").notices == ()
        assert len(load_server_config(config, {}, tmp_path).notices) == 1
        for absolute in (tmp_path / "lab/kept.db", tmp_path / "new.db"):
            assert load_server_config(config, {"MOLTNET_SQLITE_PATH": str(absolute)}, tmp_path).notices == ()
