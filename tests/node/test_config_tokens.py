"""Tokens in the ``MoltnetNode`` file: who needs one, whose it is, and who may read the file."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from moltnet.config.files import ConfigError
from moltnet.config.secrets import TokenSource
from node.config import load_node_config
from tests.node.node_file import ALPHA, BETA, GENERATED, SERVER, TOKEN, load, problems, write


@pytest.mark.parametrize("mode", ["bearer", "open"])
def test_a_mode_with_tokens_needs_one_for_every_attachment(tmp_path: Path, mode: str) -> None:
    text = f"""
    moltnet: {{{SERVER}, auth_mode: {mode}}}
    attachments:
      - {{{ALPHA}, moltnet: {{token_path: a}}}}
      - {{{BETA}}}
    """
    assert problems(tmp_path, text) == [
        ("$.attachments[1].moltnet.token", f"is required in mode {mode} (or token_env, or token_path)")
    ]


def test_a_shared_token_of_an_open_network_must_be_declared_static(tmp_path: Path) -> None:
    ((path, message),) = problems(tmp_path, f"moltnet: {{{SERVER}, auth_mode: open, token_env: T}}", {"T": TOKEN})
    assert path == "$.moltnet.static_token"
    assert "token_path" in message


@pytest.mark.parametrize(
    ("source", "environ", "place", "message"),
    [
        ("token_env: T", {}, "token_env", "environment variable T is not set or blank"),
        ("token_env: T", {"T": GENERATED}, "token_env", "is a generated agent token, which proves one agent only"),
        (f"token: {GENERATED}", {}, "token", "is a generated agent token, which proves one agent only"),
    ],
)
def test_a_static_shared_token_is_looked_at_when_the_file_is_loaded(
    tmp_path: Path, source: str, environ: dict[str, str], place: str, message: str
) -> None:
    text = f"moltnet: {{{SERVER}, auth_mode: open, static_token: true, {source}}}"
    assert problems(tmp_path, text, environ) == [(f"$.moltnet.{place}", message)]


def test_a_static_shared_token_serves_all_attachments(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        f"""
        moltnet: {{{SERVER}, auth_mode: open, static_token: true, token_env: T}}
        attachments: [{{{ALPHA}}}, {{{BETA}}}]
        """,
        {"T": TOKEN},
    )
    assert {each.server.token for each in config.attachments} == {TokenSource(env="T")}


@pytest.mark.parametrize(
    "secret",
    [
        f"moltnet: {{{SERVER}, token: {TOKEN}}}",
        f"moltnet: {{{SERVER}}}\nattachments: [{{{ALPHA}, moltnet: {{token: {TOKEN}}}}}]",
        f"moltnet: {{{SERVER}}}\nattachments: [{{agent: {{id: a}}, runtime: {{kind: openclaw, token: {TOKEN}}}}}]",
    ],
)
def test_a_file_with_tokens_must_be_private_and_no_link(tmp_path: Path, secret: str) -> None:
    path = write(tmp_path, secret)
    load_node_config(path, {}, tmp_path)
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(ConfigError, match="must not be a symlink"):
        load_node_config(tmp_path / "link", {}, tmp_path)
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="must not be accessible by group or others") as caught:
        load_node_config(path, {}, tmp_path)
    assert TOKEN not in str(caught.value)


def test_a_file_without_tokens_may_be_read_by_others(tmp_path: Path) -> None:
    path = write(tmp_path, f"moltnet: {{{SERVER}, token_env: T}}", mode=0o644)
    assert load_node_config(path, {}, tmp_path).source == path


class TestTokensAtTheStart:
    def at_start(self, directory: Path, text: str, environ: Mapping[str, str] | None = None) -> list[tuple[str, str]]:
        with pytest.raises(ConfigError) as caught:
            load_node_config(write(directory, text), environ or {}, directory, is_start=True)
        return [(problem.path, problem.message) for problem in caught.value.problems]

    @pytest.mark.parametrize("mode", ["bearer", "open"])
    def test_a_variable_without_a_token_is_an_error(self, tmp_path: Path, mode: str) -> None:
        text = f"""
        moltnet: {{{SERVER}, auth_mode: {mode}}}
        attachments:
          - {{{ALPHA}, moltnet: {{token_path: alpha.token}}}}
          - {{{BETA}, moltnet: {{token_env: BETA_TOKEN}}}}
        """
        expected = [("$.attachments[1].moltnet.token_env", "environment variable BETA_TOKEN is not set or blank")]
        for environ in ({}, {"BETA_TOKEN": ""}, {"BETA_TOKEN": "  "}):
            assert self.at_start(tmp_path, text, environ) == expected
        assert len(load(tmp_path, text).attachments) == 2  # by itself the file is valid

    def test_a_shared_variable_is_told_once(self, tmp_path: Path) -> None:
        for more in ("", ", auth_mode: open, static_token: true"):
            text = f"""
            moltnet: {{{SERVER}, token_env: T{more}}}
            attachments:
              - {{{ALPHA}}}
              - {{{BETA}}}
            """
            assert self.at_start(tmp_path, text) == [
                ("$.moltnet.token_env", "environment variable T is not set or blank")
            ]

    def test_a_generated_token_is_that_of_one_agent(self, tmp_path: Path) -> None:
        text = f"""
        moltnet: {{{SERVER}, auth_mode: open}}
        attachments:
          - {{{ALPHA}, moltnet: {{token_env: ALPHA_TOKEN}}}}
          - {{{BETA}, moltnet: {{token_env: BETA_TOKEN}}}}
        """
        ((path, message),) = self.at_start(tmp_path, text, {"ALPHA_TOKEN": GENERATED, "BETA_TOKEN": GENERATED})
        assert path == "$.attachments[1].moltnet"
        assert "has the generated agent token of attachments[0]" in message
        assert GENERATED not in message


def test_two_agents_of_an_open_network_do_not_keep_their_tokens_in_one_file(tmp_path: Path) -> None:
    text = f"""
    moltnet: {{{SERVER}, auth_mode: open}}
    attachments:
      - {{{ALPHA}, moltnet: {{token_path: one.token}}}}
      - {{{BETA}, moltnet: {{token_path: ./one.token}}}}
    """
    ((path, message),) = problems(tmp_path, text)
    assert path == "$.attachments[1].moltnet.token_path"
    assert "attachments[0]" in message
