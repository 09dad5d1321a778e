"""Tokens of a `Moltnet` file: what their newer keys mean, and where problems are reported."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from moltnet.config.problems import ConfigError
from moltnet.config.server import MoltnetConfig, load_server_config

GOOD = "5f2c8a1e9b7d4c30a6e1f8b2d9c47e05"
OTHER = "0c9d71b3e8f24a6d95b0e7c1a2f3d846"


def load(directory: Path, text: str, **environ: str) -> MoltnetConfig:
    file = directory / "Moltnet"
    file.write_text(text)
    file.chmod(0o600)
    return load_server_config(file, environ, directory)


def problems(directory: Path, text: str) -> list[tuple[str, int | None, str]]:
    with pytest.raises(ConfigError) as caught:
        load(directory, text)
    return [(problem.path, problem.line, problem.message) for problem in caught.value.problems]


def one_token(*lines: str) -> str:
    keys = "\n".join(f"      {line}" for line in lines)
    return f"auth:\n  mode: bearer\n  tokens:\n    - scopes: [write, pair]\n{keys}\n"


class TestRotation:
    def test_two_values_are_live_under_one_id(self, tmp_path: Path) -> None:
        (tmp_path / "old").write_text(OTHER)
        (tmp_path / "old").chmod(0o600)
        text = one_token(
            "id: alpha",
            "value_env: NEW",
            "expires_at: 2100-06-01T00:00:00Z",
            "previous_value_file: old",
            "previous_expires_at: 2100-01-01T01:00:00+01:00",
        )
        (token,) = load(tmp_path, text, NEW=GOOD).auth.tokens
        assert [(value.reveal(), moment) for value, moment in token.values] == [
            (GOOD, datetime(2100, 6, 1, tzinfo=UTC)),
            (OTHER, datetime(2100, 1, 1, tzinfo=UTC)),
        ]

    def test_what_ends_the_token_ends_its_previous_value_too(self, tmp_path: Path) -> None:
        text = one_token("id: a", f"value: {GOOD}", f"previous_value: {OTHER}", "expires_at: 2100-06-01T00:00:00Z")
        (token,) = load(tmp_path, text).auth.tokens
        assert {moment for _, moment in token.values} == {datetime(2100, 6, 1, tzinfo=UTC)}

    @pytest.mark.parametrize(
        ("lines", "expected"),
        [
            (
                (f"value: {GOOD}", f"previous_value: {OTHER}"),
                ("$.auth.tokens[0].id", 4, "is required for a token with a previous value"),
            ),
            (
                ("id: a", f"value: {GOOD}", f"previous_value: {GOOD}"),
                ("$.auth.tokens[0].previous_value", 7, "is the same as auth.tokens[0].value"),
            ),
            (
                ("id: a", f"value: {GOOD}", "previous_value: changeme-changeme-changeme"),
                (
                    "$.auth.tokens[0].previous_value",
                    7,
                    "is a placeholder, not a token; make one with: openssl rand -hex 32",
                ),
            ),
            (
                ("id: a", f"value: {GOOD}", "previous_expires_at: 2100-01-01T00:00:00Z"),
                ("$.auth.tokens[0].previous_expires_at", 7, "needs a previous value"),
            ),
            (
                ("id: a", f"previous_value: {GOOD}"),
                ("$.auth.tokens[0].value", 4, "is required (or value_env, or value_file)"),
            ),
            (
                ("id: a", f"value: {GOOD}", f"previous_value: {OTHER}", "previous_value_env: OLD"),
                (
                    "$.auth.tokens[0].previous_value_env",
                    8,
                    "cannot stand beside previous_value; one source is enough",
                ),
            ),
        ],
    )
    def test_what_makes_no_sense_is_refused(
        self, tmp_path: Path, lines: tuple[str, ...], expected: tuple[str, int, str]
    ) -> None:
        assert problems(tmp_path, one_token(*lines)) == [expected]

    def test_a_problem_is_reported_at_the_key_that_is_written(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError) as caught:
            load(tmp_path, one_token("id: a", "value_env: WEAK"), WEAK="short")
        assert [problem.path for problem in caught.value.problems] == ["$.auth.tokens[0].value_env"]
        assert "short\n" not in str(caught.value)

    def test_a_previous_value_makes_the_file_private(self, tmp_path: Path) -> None:
        file = tmp_path / "Moltnet"
        file.write_text(one_token("id: a", "value_env: NEW", f"previous_value: {OTHER}"))
        file.chmod(0o644)
        with pytest.raises(ConfigError, match="must not be accessible by group or others"):
            load_server_config(file, {"NEW": GOOD}, tmp_path)


class TestExpiry:
    @pytest.mark.parametrize(
        "text",
        [
            "2100-01-01",
            "2100-01-01T00:00:00",
            "tomorrow",
            "2100-13-01T00:00:00Z",
            "4102444800",
            "\u0662100-01-01T00:00:00Z",
        ],
    )
    def test_a_time_without_its_zone_is_none(self, tmp_path: Path, text: str) -> None:
        found = problems(tmp_path, one_token("id: a", f"value: {GOOD}", f"expires_at: '{text}'"))
        assert found == [
            ("$.auth.tokens[0].expires_at", 7, "must be a time with its zone, such as 2027-01-31T12:00:00Z")
        ]

    @pytest.mark.parametrize("text", ["2100-01-01T00:00:00Z", "2100-01-01 01:30:00.5+01:30", "2100-01-01t00:00:00z"])
    def test_every_form_of_rfc_3339_is_taken(self, tmp_path: Path, text: str) -> None:
        (token,) = load(tmp_path, one_token("id: a", f"value: {GOOD}", f"expires_at: {text}")).auth.tokens
        assert token.expires_at is not None
        assert token.expires_at.replace(microsecond=0) == datetime(2100, 1, 1, tzinfo=UTC)

    def test_a_token_that_has_expired_does_not_keep_a_network_from_starting(self, tmp_path: Path) -> None:
        config = load(tmp_path, one_token("id: a", f"value: {GOOD}", "expires_at: 2020-01-01T00:00:00Z"))
        assert "auth.tokens[0].expires_at is in the past: that value is refused" in config.notices


class TestNetwork:
    def test_a_pair_token_belongs_to_the_network_that_it_names(self, tmp_path: Path) -> None:
        (token,) = load(tmp_path, one_token("id: a", f"value: {GOOD}", "network: net_b")).auth.tokens
        assert token.network == "net_b"

    @pytest.mark.parametrize(
        ("network", "message"),
        [
            ("local", "is this network's own id; it names the network that the token is given to"),
            ("'a:b'", "must not hold a colon, which separates a network from an agent"),
        ],
    )
    def test_not_every_text_is_another_network(self, tmp_path: Path, network: str, message: str) -> None:
        found = problems(tmp_path, one_token("id: a", f"value: {GOOD}", f"network: {network}"))
        assert found == [("$.auth.tokens[0].network", 7, message)]

    def test_only_pair_tokens_have_one(self, tmp_path: Path) -> None:
        text = one_token("id: a", f"value: {GOOD}", "network: net_b").replace("[write, pair]", "[write]")
        assert problems(tmp_path, text) == [("$.auth.tokens[0].network", 7, "needs the scope pair")]


def test_an_agent_of_a_token_is_one_of_this_network(tmp_path: Path) -> None:
    found = problems(tmp_path, one_token("id: a", f"value: {GOOD}", "agents: [alpha, 'net_b:beta']"))
    assert found == [("$.auth.tokens[0].agents[1]", 7, "must be an agent of this network, without a colon")]


class TestReservedNames:
    def test_ids_and_patterns_are_kept(self, tmp_path: Path) -> None:
        config = load(tmp_path, "auth:\n  mode: open\n  reserved_agents: [admin, ' moltnet-* ', 'op?', admin]\n")
        assert config.auth.reserved_agents == ("admin", "moltnet-*", "op?")

    @pytest.mark.parametrize("pattern", ["''", "'[a-z]'", "'a b'", "'net:a'", "'é'"])
    def test_other_text_is_refused(self, tmp_path: Path, pattern: str) -> None:
        found = problems(tmp_path, f"auth:\n  mode: open\n  reserved_agents:\n    - ok\n    - {pattern}\n")
        message = "must be an agent id, in which * stands for any text and ? for one character"
        assert found == [("$.auth.reserved_agents[1]", 5, message)]
