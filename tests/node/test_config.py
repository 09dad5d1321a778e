"""The ``MoltnetNode`` file: both generations of policies, whose token is whose, and paths that are always absolute."""

from pathlib import Path

import pytest

from bridge.config import WakePolicy, WakeRule
from moltnet.config.files import ConfigError
from moltnet.config.secrets import Secret, TokenSource
from moltnet.config.settings import AuthMode
from node.config import load_node_config
from tests.node.node_file import ALPHA, BETA, SERVER, TOKEN, load, one, problems, write

OLDER = f"""
version: moltnet.node.v1
moltnet:
  base_url: https://chat.test/
  network_id: workshop
  token: {TOKEN}
attachments:
  - agent:
      id: alpha
      name: Alpha
    runtime:
      kind: codex
      workspace_path: /srv/agents/alpha
    rooms:
      - id: hall
        read: mentions
        reply: auto
      - id: vault
        read: all
        reply: manual
    dms:
      enabled: true
      read: all
      reply: auto
"""

NEWER = f"""
version: moltnet.node.v1
moltnet:
  base_url: https://chat.test
  network_id: workshop
  token: {TOKEN}
attachments:
  - agent: {{id: alpha, name: Alpha}}
    runtime: {{kind: codex, workspace_path: /srv/agents/alpha}}
    rooms:
      - {{id: hall, wake: mentions, visibility: public, can_write: true, access: {{can_read: true, can_write: true}}}}
      - {{id: vault, wake: never}}
    dms: {{enabled: true, wake: all}}
"""


def test_a_file_with_the_older_policy_keys_loads(tmp_path: Path) -> None:
    (alpha,) = load(tmp_path, OLDER).attachments
    assert (alpha.agent.id, alpha.agent.name) == ("alpha", "Alpha")
    assert (alpha.server.base_url, alpha.server.network_id) == ("https://chat.test", "workshop")
    assert (alpha.server.auth_mode, alpha.server.token) == (AuthMode.BEARER, TokenSource(inline=Secret(TOKEN)))
    assert [(room.id, room.wake) for room in alpha.rooms] == [
        ("hall", WakeRule(WakePolicy.MENTIONS)),
        ("vault", WakeRule(WakePolicy.MANUAL, on_approval=WakePolicy.ALL)),
    ]
    assert (alpha.dms.enabled, alpha.dms.wake) == (True, WakeRule(WakePolicy.ALL))


def test_a_file_with_the_newer_policy_keys_loads(tmp_path: Path) -> None:
    (alpha,) = load(tmp_path, NEWER).attachments
    assert [(room.id, room.wake) for room in alpha.rooms] == [
        ("hall", WakeRule(WakePolicy.MENTIONS)),
        ("vault", WakeRule(WakePolicy.NEVER)),
    ]
    assert (alpha.dms.enabled, alpha.dms.wake) == (True, WakeRule(WakePolicy.ALL))
    assert alpha.runtime.command == ("codex",)


def test_a_public_network_has_one_token_file_per_agent(tmp_path: Path) -> None:
    alpha, beta = load(
        tmp_path,
        f"""
        moltnet: {{{SERVER}, auth_mode: open}}
        attachments:
          - {{{ALPHA}, moltnet: {{token_path: .moltnet/alpha.token}}}}
          - {{{BETA}, moltnet: {{token_env: BETA_TOKEN}}}}
        """,
    ).attachments
    assert alpha.server.auth_mode is AuthMode.OPEN
    assert alpha.server.token == TokenSource(path=tmp_path / ".moltnet/alpha.token")
    assert beta.server.token == TokenSource(env="BETA_TOKEN")


def test_no_attachments_are_valid_in_yaml_and_json(tmp_path: Path) -> None:
    assert load(tmp_path, f"moltnet: {{{SERVER}}}\nattachments: []").attachments == ()
    assert load(tmp_path, f"moltnet: {{{SERVER}}}").attachments == ()
    path = write(tmp_path, '{"moltnet": {"base_url": "http://h", "network_id": "n"}}', name="n.json")
    assert load_node_config(path, {}, tmp_path).attachments == ()


@pytest.mark.parametrize(
    ("top", "attachment", "room", "expected"),
    [
        ("", "", "", WakeRule(WakePolicy.ALL)),
        ("wake: mentions", "", "", WakeRule(WakePolicy.MENTIONS)),
        ("wake: mentions", "wake: never", "", WakeRule(WakePolicy.NEVER)),
        ("wake: mentions", "wake: never", "wake: all", WakeRule(WakePolicy.ALL)),
        ("reply: manual", "read: mentions", "", WakeRule(WakePolicy.MANUAL, WakePolicy.MENTIONS)),
        ("reply: manual", "", "read: all, reply: auto", WakeRule(WakePolicy.ALL)),
        ("reply: never", "", "wake: mentions", WakeRule(WakePolicy.MENTIONS)),
        ("wake: never", "", "read: mentions", WakeRule(WakePolicy.MENTIONS)),
    ],
)
def test_a_binding_takes_what_it_lacks_from_its_attachment_and_the_file(
    tmp_path: Path, top: str, attachment: str, room: str, expected: WakeRule
) -> None:
    entry = ", ".join(filter(None, [ALPHA, attachment, f"rooms: [{{{', '.join(filter(None, ['id: hall', room]))}}}]"]))
    (alpha,) = load(tmp_path, f"{top}\nmoltnet: {{{SERVER}}}\nattachments:\n  - {{{entry}}}\n").attachments
    assert alpha.rooms[0].wake == expected


def test_dms_inherit_too_and_a_mention_in_them_is_every_message(tmp_path: Path) -> None:
    attachment = one(tmp_path, f"{ALPHA}, wake: mentions, dms: {{enabled: true}}")
    assert attachment.dms.wake == WakeRule(WakePolicy.ALL)


@pytest.mark.parametrize(
    ("shared", "own", "mode", "token"),
    [
        ("", "", AuthMode.NONE, None),
        ("token_env: SHARED", "", AuthMode.BEARER, TokenSource(env="SHARED")),
        ("token_env: SHARED", "token_env: OWN", AuthMode.BEARER, TokenSource(env="OWN")),
        ("", "token_env: OWN", AuthMode.BEARER, TokenSource(env="OWN")),
        (f"token: {TOKEN}", "token_env: OWN", AuthMode.BEARER, TokenSource(env="OWN")),
        ("token_env: SHARED, auth_mode: none", "", AuthMode.NONE, None),
    ],
)
def test_a_token_of_an_attachment_replaces_the_shared_one(
    tmp_path: Path, shared: str, own: str, mode: AuthMode, token: TokenSource | None
) -> None:
    server = ", ".join(filter(None, [SERVER, shared]))
    attachment = one(tmp_path, f"{ALPHA}, moltnet: {{{own}}}", server=server)
    assert (attachment.server.auth_mode, attachment.server.token) == (mode, token)


def test_weakness_node_10_every_path_starts_at_the_file_and_is_absolute(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        f"""
        moltnet: {{{SERVER}, token_path: ../tokens/shared}}
        state_path: state
        attachments:
          - agent: {{id: alpha}}
            runtime:
              kind: codex
              command: ./bin/codex
              workspace_path: work/alpha
              home_path: homes/../home
              session_store_path: sessions/alpha.json
        """,
        name="etc/MoltnetNode",
    )
    # Loaded from elsewhere: the working directory plays no part.
    config = load_node_config(path, {}, Path("/"))
    (alpha,) = config.attachments
    runtime, etc = alpha.runtime, tmp_path / "etc"
    assert alpha.server.token == TokenSource(path=tmp_path / "tokens/shared")
    assert runtime.command == (str(etc / "bin/codex"),)
    assert (runtime.workspace_path, runtime.home_path) == (etc / "work/alpha", etc / "home")
    assert runtime.session_store_path == etc / "sessions/alpha.json"
    assert config.state_path == etc / "state"
    assert alpha.state_dir == etc / "state/workshop/alpha"


def test_state_lies_beside_the_file_in_a_directory_of_each_agent(tmp_path: Path) -> None:
    config = load(tmp_path, f"moltnet: {{{SERVER}}}\nattachments:\n  - {{{ALPHA}}}\n  - {{{BETA}}}\n")
    assert [each.state_dir for each in config.attachments] == [
        tmp_path / ".moltnet/node/workshop/alpha",
        tmp_path / ".moltnet/node/workshop/beta",
    ]
    assert not (tmp_path / ".moltnet").exists()


RULES = [
    ("version: moltnet.node.v2", "$.version", "must be moltnet.node.v1"),
    ("state: x", "$.state", "is not a known field"),
    ("wake: often", "$.wake", "must be one of all, mentions, thread_only, never"),
    (
        f"attachments: [{{{ALPHA}, rooms: [{{id: hall, wake: all, read: all}}]}}]",
        "$.attachments[0].rooms[0].wake",
        "cannot stand beside read or reply",
    ),
    (
        f"attachments: [{{{ALPHA}, dms: {{wake: all, reply: auto}}}}]",
        "$.attachments[0].dms.wake",
        "cannot stand beside read or reply",
    ),
    (
        f"attachments: [{{{ALPHA}, rooms: [{{id: a b}}]}}]",
        "$.attachments[0].rooms[0].id",
        "must start with a letter or digit",
    ),
    (f"attachments: [{{{ALPHA}, rooms: [{{wake: all}}]}}]", "$.attachments[0].rooms[0].id", "is required"),
    (
        f"attachments: [{{{ALPHA}, rooms: [{{id: hall}}, {{id: hall}}]}}]",
        "$.attachments[0].rooms[1].id",
        "is already bound by rooms[0]",
    ),
    (f"attachments: [{{{ALPHA}}}, {{{ALPHA}}}]", "$.attachments[1].agent.id", "is already the agent of attachments[0]"),
    ("attachments: [{runtime: {kind: command, command: x}}]", "$.attachments[0].agent.id", "is required"),
    (
        "attachments: [{agent: {id: 7}, runtime: {kind: command, command: x}}]",
        "$.attachments[0].agent.id",
        "must be a string",
    ),
    (
        'attachments: [{agent: {id: a, name: "x\\ny"}, runtime: {kind: command, command: x}}]',
        "$.attachments[0].agent.name",
        "must not hold control characters or line breaks",
    ),
    (
        f"attachments: [{{{ALPHA}, moltnet: {{token: paste-attachment-token-here}}}}]",
        "$.attachments[0].moltnet.token",
        "is a placeholder",
    ),
    (f"attachments: [{{{ALPHA}, moltnet: {{token: '  '}}}}]", "$.attachments[0].moltnet.token", "is blank"),
]


@pytest.mark.parametrize(("text", "path", "message"), RULES)
def test_each_rule_names_its_key(tmp_path: Path, text: str, path: str, message: str) -> None:
    ((where, what),) = problems(tmp_path, f"moltnet: {{{SERVER}}}\n{text}\n")
    assert where == path
    assert what.startswith(message)


@pytest.mark.parametrize(
    ("server", "path", "message"),
    [
        ("network_id: n", "$.moltnet.base_url", "is required"),
        ("network_id: n, base_url: 'ws://h'", "$.moltnet.base_url", "must start with http:// or https://"),
        ("base_url: 'http://h'", "$.moltnet.network_id", "is required"),
        (f"{SERVER}, auth_mode: basic", "$.moltnet.auth_mode", "must be one of none, bearer, open"),
        (f"{SERVER}, registration: closed", "$.moltnet.registration", "must be one of disabled, token, open"),
        (f"{SERVER}, static_token: true", "$.moltnet.static_token", "needs auth_mode open"),
        (
            f"{SERVER}, auth_mode: bearer, static_token: true, token_env: T",
            "$.moltnet.static_token",
            "needs auth_mode open",
        ),
    ],
)
def test_the_shared_block_is_checked_even_without_attachments(
    tmp_path: Path, server: str, path: str, message: str
) -> None:
    assert problems(tmp_path, f"moltnet: {{{server}}}\n") == [(path, message)]


def test_the_file_is_found_by_argument_variable_and_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no MoltnetNode file here"):
        load_node_config(None, {}, tmp_path)
    text = f"moltnet: {{{SERVER}}}"
    names = ["moltnet-node.yml", "moltnet-node.yaml", "MoltnetNode"]
    for name in names:
        write(tmp_path, text, name=name)
        assert load_node_config(None, {}, tmp_path).source == tmp_path / name
    other = write(tmp_path, text, name="other")
    assert load_node_config(None, {"MOLTNET_NODE_CONFIG": "other"}, tmp_path).source == other
    assert (
        load_node_config(Path("moltnet-node.yml"), {"MOLTNET_NODE_CONFIG": "other"}, tmp_path).source.name == names[0]
    )


def test_a_directory_with_the_name_of_the_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "MoltnetNode").mkdir()
    write(tmp_path, f"moltnet: {{{SERVER}}}", name="moltnet-node.yaml")
    with pytest.raises(ConfigError, match="is a directory"):
        load_node_config(None, {}, tmp_path)


def test_weakness_node_15_everything_wrong_in_a_file_is_said_at_once(tmp_path: Path) -> None:
    text = """
    version: x
    moltnet: {network_id: n}
    attachments:
      - {agent: {id: a}, runtime: {kind: codex}}
      - {agent: {id: b}, runtime: {kind: unknown}, romos: []}
    """
    assert [path for path, _ in problems(tmp_path, text)] == [
        "$.version",
        "$.moltnet.base_url",
        "$.attachments[0].runtime.workspace_path",
        "$.attachments[1].romos",
        "$.attachments[1].runtime.kind",
    ]
