"""What a server must not start on: every rule of the ``Moltnet`` file, and the reference's weaknesses by number."""

from collections.abc import Callable
from pathlib import Path

import pytest

from moltnet.config.files import ConfigError
from moltnet.config.server import load_server_config

Write = Callable[..., Path]

ONE = "3f9c2b7e5d1a8046b9e7c2d4f1a35608"
TWO = "c41d0a96e2b85f73a6d9084be17c5f23"


def problems(path: Path) -> list[tuple[str, str]]:
    with pytest.raises(ConfigError) as caught:
        load_server_config(path, {}, path.parent)
    return [(problem.path, problem.message) for problem in caught.value.problems]


def tokens(*entries: str) -> str:
    return "auth:\n  mode: bearer\n  tokens:\n" + "".join(f"    - {{{entry}}}\n" for entry in entries)


RULES = [
    # shape
    ("version: moltnet.v2", "$.version", "must be moltnet.v1"),
    ("[]", "$", "must hold keys and values"),
    ("just text", "$", "must hold keys and values"),
    ("netwrok: {}", "$.netwrok", "is not a known field (did you mean network?)"),
    ("server: {alowed_origins: []}", "$.server.alowed_origins", "is not a known field (did you mean allowed_origins?)"),
    ("rooms: [{id: a, colour: red}]", "$.rooms[0].colour", "is not a known field"),
    ("listen_addr: ':1'", "$.listen_addr", "is not a known field (belongs under server: server.listen_addr)"),
    ("server: {delivery_window: 0}", "$.server.delivery_window", "must be a number from 1 to 1024"),
    ("server: {delivery_window: 1025}", "$.server.delivery_window", "must be a number from 1 to 1024"),
    (
        "storage: {dsn: x}",
        "$.storage.dsn",
        "is not a known field (belongs under storage.postgres: storage.postgres.dsn)",
    ),
    ("storage: {path: x}", "$.storage.path", "is not a known field (belongs under storage.sqlite or storage.json)"),
    ("auth: {token: x}", "$.auth.token", "is not a known field (did you mean tokens?)"),
    ("auth: {scopes: [a]}", "$.auth.scopes", "is not a known field (belongs under auth.tokens: auth.tokens[].scopes)"),
    ("rooms: [{id: a, log: {}}]", "$.rooms[0].log", "is not a known field (belongs at the top level)"),
    (
        "'server.listen_addr': ':1'",
        "$.server.listen_addr",
        "is not a known field (a dot in a key does not nest it: write one key under the other)",
    ),
    ("network: {id: 5}", "$.network.id", "must be a string, not an integer (write it in quotes)"),
    ("network: {name: true}", "$.network.name", "must be a string, not true or false (write it in quotes)"),
    ("server: {human_ingress: 'true'}", "$.server.human_ingress", "must be true or false, not a string"),
    ("server: {human_ingress: 1}", "$.server.human_ingress", "must be true or false, not an integer"),
    ("rooms: {id: a}", "$.rooms", "must be a list, not an object"),
    ("rooms: [a]", "$.rooms[0]", "must be an object, not a string"),
    ("rooms: [{id: a, members: [b, null]}]", "$.rooms[0].members[1]", "must be a string, not null"),
    # server
    ("server: {listen_addr: '8787'}", "$.server.listen_addr", "must be host:port or :port, with a port of 0 to 65535"),
    (
        "server: {console: {analytics: {provider: google}}}",
        "$.server.console.analytics.measurement_id",
        "is required",
    ),
    (
        "server: {console: {analytics: {provider: other, measurement_id: G-12345}}}",
        "$.server.console.analytics.provider",
        "must be google",
    ),
    (
        "server: {console: {analytics: {measurement_id: G-12345}}}",
        "$.server.console.analytics.provider",
        "is required",
    ),
    (
        'server: {console: {analytics: {provider: google, measurement_id: "G-1\'><script>"}}}',
        "$.server.console.analytics.measurement_id",
        "must be a measurement id such as G-ABC1234567",
    ),
    # credentials
    ("auth: {mode: basic}", "$.auth.mode", "must be one of none, bearer, open"),
    ("auth: {agent_registration: yes}", "$.auth.agent_registration", "must be one of disabled, token, open"),
    ("auth: {mode: bearer}", "$.auth.tokens", "needs at least one token in mode bearer"),
    (tokens("id: a, scopes: [write]"), "$.auth.tokens[0].value", "is required (or value_env, or value_file)"),
    (
        tokens("id: a, value: ' ', scopes: [write]"),
        "$.auth.tokens[0].value",
        "is required (or value_env, or value_file)",
    ),
    (
        tokens(f"id: a, value: {ONE}, value_env: X, scopes: [write]"),
        "$.auth.tokens[0].value_env",
        "cannot stand beside value; one source is enough",
    ),
    (
        tokens("id: a, value_env: NOT_SET_HERE, scopes: [write]"),
        "$.auth.tokens[0].value_env",
        "environment variable NOT_SET_HERE is not set or blank",
    ),
    (
        tokens(f"id: a, value: {ONE}"),
        "$.auth.tokens[0].scopes",
        "needs at least one of observe, write, admin, attach, pair",
    ),
    (
        tokens(f"id: a, value: {ONE}, scopes: [write, root]"),
        "$.auth.tokens[0].scopes[1]",
        "must be one of observe, write, admin, attach, pair",
    ),
    (tokens(f"id: a, value: {ONE}, scopes: [write], agents: ['']"), "$.auth.tokens[0].agents[0]", "is required"),
    # storage
    ("storage: {kind: mongo}", "$.storage.kind", "must be one of memory, json, sqlite, postgres"),
    ("storage: {kind: json}", "$.storage.json.path", "is required for json storage"),
    ("storage: {kind: postgres}", "$.storage.postgres.dsn", "is required for postgres storage"),
    ("storage: {event_retention: 1m}", "$.storage.event_retention", "must be from 1h to 3660d"),
    (
        "storage: {event_retention: 20y}",
        "$.storage.event_retention",
        "must be a length of time with units s, m, h, d or w, such as 7d or 12h",
    ),
    ("storage: {message_retention: 9999d}", "$.storage.message_retention", "must be from 1h to 3660d"),
    (
        "storage: {message_retention: 6d}",
        "$.storage.message_retention",
        "must not be shorter than storage.event_retention",
    ),
    (
        "storage: {event_retention: 2d, message_retention: never}",
        "$.storage.message_retention",
        "must be a length of time with units s, m, h, d or w, such as 7d or 12h",
    ),
    # rooms and pairings
    ("rooms: [{name: a}]", "$.rooms[0].id", "is required"),
    ("rooms: [{id: a, visibility: secret}]", "$.rooms[0].visibility", "must be one of private, public"),
    (
        "rooms: [{id: a, write_policy: all}]",
        "$.rooms[0].write_policy",
        "must be one of members, registered_agents, operators",
    ),
    ('rooms: [{id: a, name: "two\\nlines"}]', "$.rooms[0].name", "must not hold control characters or line breaks"),
    ("pairings: [{remote_base_url: 'https://b'}]", "$.pairings[0].id", "is required"),
    ("pairings: [{id: b}]", "$.pairings[0].remote_base_url", "is required"),
    (
        "pairings: [{id: b, remote_base_url: 'ws://b'}]",
        "$.pairings[0].remote_base_url",
        "must start with http:// or https://",
    ),
    ("log: {level: loud}", "$.log.level", "must be one of debug, info, warning, error"),
    ("log: {format: xml}", "$.log.format", "must be one of console, json"),
]


@pytest.mark.parametrize(("text", "path", "message"), RULES)
def test_each_rule_names_its_key(write: Write, text: str, path: str, message: str) -> None:
    assert problems(write(text)) == [(path, message)]


def test_everything_wrong_is_reported_at_once_with_its_line(write: Write) -> None:
    path = write(f"""\
        version: moltnet.v1
        network:
          id: a b
        auth:
          mode: bearer
          tokens:
            - id: one
              value: {ONE}
              scope: [write]
            - id: one
              value: 5
              scopes: [write]
        rooms:
          - id: general
          - id: general
            members: [alpha, "b c"]
            visibility: 7
    """)
    with pytest.raises(ConfigError) as caught:
        load_server_config(path, {}, path.parent)
    assert [(problem.line, problem.path) for problem in caught.value.problems] == [
        (3, "$.network.id"),
        (7, "$.auth.tokens[0].scopes"),
        (9, "$.auth.tokens[0].scope"),
        (10, "$.auth.tokens[1].id"),
        (11, "$.auth.tokens[1].value"),
        (15, "$.rooms[1].id"),
        (16, "$.rooms[1].members[1]"),
        (17, "$.rooms[1].visibility"),
    ]
    assert ONE not in str(caught.value)
    first = str(caught.value).splitlines()[0]
    assert first.startswith(f"{path}:3: $.network.id: must start with a letter or digit")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("rooms: [{id: 'a b'}]", "$.rooms[0].id"),
        ("rooms: [{id: a, members: ['x y']}]", "$.rooms[0].members[0]"),
        ("rooms: [{id: a, members: ['molt://net/agents/']}]", "$.rooms[0].members[0]"),
        ("rooms: [{id: a, members: [' ']}]", "$.rooms[0].members[0]"),
        (
            tokens(
                f"id: a, value: {ONE}, scopes: [attach], agents: [alpha]",
                f"id: b, value: {TWO}, scopes: [attach], agents: [alpha]",
            ),
            "$.auth.tokens[1].agents[0]",
        ),
        (tokens(f"id: a, value: {ONE}, scopes: [attach], agents: ['a b']"), "$.auth.tokens[0].agents[0]"),
        ("network: {id: my network}", "$.network.id"),
    ],
)
def test_weakness_server_2_a_file_that_could_not_start_does_not_load(write: Write, text: str, path: str) -> None:
    assert [where for where, _ in problems(write(text))] == [path]


@pytest.mark.parametrize("network_id", ["my network", "-lab", "a/b", "a:b", "é", "x" * 129])
def test_weakness_server_3_a_network_id_must_be_an_identifier(write: Write, network_id: str) -> None:
    assert [where for where, _ in problems(write(f'network: {{id: "{network_id}"}}'))] == ["$.network.id"]


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("rooms: [{id: a}, {id: b}, {id: a}]", "$.rooms[2].id", "is already the id of rooms[0]"),
        (
            tokens(f"id: a, value: {ONE}, scopes: [write]", f"id: a, value: {TWO}, scopes: [write]"),
            "$.auth.tokens[1].id",
            "is already the id of auth.tokens[0]",
        ),
        (
            tokens(f"id: a, value: {ONE}, scopes: [write]", f"id: b, value: {ONE}, scopes: [observe]"),
            "$.auth.tokens[1].value",
            "is the same as auth.tokens[0].value",
        ),
        (
            "pairings: [{id: b, remote_base_url: 'https://b'}, {id: b, remote_base_url: 'https://c'}]",
            "$.pairings[1].id",
            "is already the id of pairings[0]",
        ),
    ],
)
def test_weakness_server_5_ids_and_values_are_unique(write: Write, text: str, path: str, message: str) -> None:
    assert problems(write(text)) == [(path, message)]


def test_weakness_server_6_a_second_document_is_refused(write: Write) -> None:
    assert problems(write("network: {id: a}\n---\nnetwork: {id: b}\n")) == [
        ("$", "must hold one document, a second one starts here")
    ]
    assert problems(write('{"network": {}} {"network": {}}', "m.json")) == [
        ("$", "must hold one document, something follows it")
    ]


@pytest.mark.parametrize(
    ("entry", "path"),
    [
        (f"id: a, value: {ONE}, scopes: [root]", "$.auth.tokens[0].scopes[0]"),
        (f"id: a, value: {ONE}", "$.auth.tokens[0].scopes"),
        ("id: a, value: short, scopes: [write]", "$.auth.tokens[0].value"),
        ("scopes: [write]", "$.auth.tokens[0].id"),
    ],
)
def test_weakness_server_6_tokens_are_checked_in_mode_none_too(write: Write, entry: str, path: str) -> None:
    assert [where for where, _ in problems(write(f"auth: {{tokens: [{{{entry}}}]}}"))] == [path]


def test_weakness_server_7_a_token_file_that_others_may_read_is_refused(write: Write) -> None:
    write(ONE, "token", mode=0o640)
    ((path, message),) = problems(write(tokens("id: a, value_file: token, scopes: [write]")))
    assert path == "$.auth.tokens[0].value_file"
    assert "group or others" in message
    assert ONE not in message


@pytest.mark.parametrize("origin", ["moltnet.example", "https://*.example", "https://a.example/path", "null"])
def test_weakness_server_9_an_unusable_origin_is_an_error_and_not_the_default(write: Write, origin: str) -> None:
    path = write(f'server: {{allowed_origins: ["https://good.example", "{origin}"]}}')
    assert [where for where, _ in problems(path)] == ["$.server.allowed_origins[1]"]


@pytest.mark.parametrize(
    "value", ["replace-with-random-admin-token", "paste-attachment-token-here", "tiny", "aaaaaaaaaaaaaaaaaaaa"]
)
def test_a_token_of_documentation_or_a_weak_one_is_refused_with_advice(write: Write, value: str) -> None:
    ((path, message),) = problems(write(tokens(f"id: a, value: {value}, scopes: [write]")))
    assert path == "$.auth.tokens[0].value"
    assert "openssl rand -hex 32" in message
    assert value not in message


def test_weakness_pairing_10_a_network_is_not_paired_with_itself(write: Write) -> None:
    path = write("network: {id: lab}\npairings: [{id: b, remote_base_url: 'https://b', remote_network_id: lab}]")
    assert problems(path) == [("$.pairings[0].remote_network_id", "is this network's own id")]


def test_a_pairing_url_must_not_carry_a_password(write: Write) -> None:
    ((path, message),) = problems(write("pairings: [{id: b, remote_base_url: 'https://u:hunter2@b'}]"))
    assert path == "$.pairings[0].remote_base_url"
    assert "hunter2" not in message


@pytest.mark.parametrize(
    "text",
    [
        tokens(f"id: a, value: {ONE}, scopes: [write], value_flie: x"),
        tokens(f"id: a, value: [{ONE}], scopes: [write]"),
        tokens(f"id: a, value: {{ {ONE}: x }}, scopes: [write]"),
        tokens(f"id: a, value: {ONE}"),
        tokens(f"id: a, value:{ONE}, scopes: [write]"),
        tokens(f"id: a, {ONE}: x, {ONE}: y"),
        tokens(f"id: a, value: *{ONE}"),
        tokens(f"id: a, value: !{ONE} x"),
        f"pairings: [{{id: b, remote_base_url: 'x', token: {ONE}}}]",
        f"storage: {{kind: postgres, postgres: {{dsn: 'mysql://u:{ONE}@db'}}}}",
    ],
)
def test_no_error_text_holds_a_secret(write: Write, text: str) -> None:
    path = write(text, mode=0o644)
    with pytest.raises(ConfigError) as caught:
        load_server_config(path, {}, path.parent)
    assert ONE not in str(caught.value)
    assert ONE not in repr(caught.value)
