"""Accepting an invitation over HTTP: who is let in, what is written, and that nothing else is ever the result."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
import trio

from moltnet.app import open_app
from moltnet.config.server import load_server_config
from moltnet.config.server_limits import LimitSettings, Rate
from moltnet.pairing.code import BadCode, InvitationCode, parse_code
from moltnet.pairing.invitations import invitations_path, keep_invitation, new_invitation
from moltnet.serving import open_sockets, serve
from tests.fakes.certificates import make_certificate
from tests.fakes.http_client import HttpAnswer, http_client
from tests.fakes.network import TestServer, secret_of

ROUTE: Final = "/v1/pairings/accept"
FILE: Final = f"""\
# Ours.
network: {{id: lab, name: Lab}}
server: {{listen_addr: "127.0.0.1:0"}}
auth:
  mode: bearer
  tokens:
    - {{id: ops, value: {secret_of("ops")}, scopes: [admin, observe]}}
storage: {{kind: memory}}
rooms:
  - {{id: general}}
pairings: []  # none yet
"""
TOKEN, REPLY = secret_of("they-present"), secret_of("we-present")


@attrs.frozen
class Inviting:
    """A network with a config file, and what happens to it."""

    server: TestServer
    path: Path

    def invite(
        self,
        *,
        rooms: tuple[str, ...] = ("general",),
        private: bool = False,
        age_hours: int = 0,
        ca_file: str = "",
    ) -> InvitationCode:
        now = datetime.now(UTC) - timedelta(hours=age_hours)
        invitation, code = new_invitation(
            network_id="lab",
            network_name="Lab",
            base_url="https://lab.test",
            rooms=rooms,
            lifetime=timedelta(hours=1),
            allow_private_address=private,
            now=now,
            ca_file=ca_file,
        )
        keep_invitation(invitations_path(self.path), invitation, now)
        return code

    async def accept(self, body: Mapping[str, Any]) -> HttpAnswer:
        return await http_client(self.server).post(ROUTE, body)

    @property
    def text(self) -> str:
        return self.path.read_text()


@asynccontextmanager
async def inviting(directory: Path, text: str = FILE) -> AsyncIterator[Inviting]:
    path = directory / "Moltnet"
    path.write_text(text)
    path.chmod(0o600)
    load = partial(load_server_config, path, {}, directory)
    config, stop = load(), trio.Event()
    async with open_app(config, load=load) as app, trio.open_nursery() as nursery:
        serving = partial(serve, app, open_sockets(config.server.listen_addr), stop=stop)
        urls: list[str] = await nursery.start(serving)
        yield Inviting(TestServer(app, urls[0], stop, trio.Event()), path)
        stop.set()


def body_for(code: InvitationCode, **changed: Any) -> dict[str, Any]:
    return {
        "invitation_id": code.id,
        "secret": code.secret,
        "network_id": "net_b",
        "network_name": "Net B",
        "base_url": "https://net-b.test/",
        "token": TOKEN,
        "reply_token": REPLY,
        "rooms": ["general"],
    } | changed


async def test_both_tokens_go_into_the_file_and_the_server_follows_at_once(tmp_path: Path) -> None:
    async with inviting(tmp_path) as network:
        answer = await network.accept(body_for(network.invite()))
        assert answer.status == 200
        assert answer.json() == {
            "network_id": "lab",
            "network_name": "Lab",
            "pairing_id": "net_b",
            "rooms": ["general"],
        }
        (pairing,) = network.server.app.config.pairings
        assert (pairing.id, pairing.remote_network_id, pairing.remote_base_url) == (
            "net_b",
            "net_b",
            "https://net-b.test",
        )
        assert pairing.token is not None
        assert (pairing.token.reveal(), pairing.rooms) == (REPLY, frozenset({"general"}))
        assert pairing.allow_private_address is False  # nobody here has chosen that address
        token = network.server.app.config.auth.tokens[1]
        assert (token.network, set(token.scopes), token.agents) == ("net_b", {"pair"}, ())
        assert (await http_client(network.server, "they-present").get("/v1/network")).status == 200
        assert network.text.startswith("# Ours.\nnetwork: {id: lab, name: Lab}\n")
        assert "pairings: # none yet\n  - id: net_b\n" in re.sub(" +#", " #", network.text)


@pytest.mark.parametrize("scheme", ["https", "http"])
async def test_the_authorities_of_the_invitation_go_into_the_file_where_there_is_tls(
    tmp_path: Path, scheme: str
) -> None:
    ca_file = make_certificate(tmp_path).ca_file
    async with inviting(tmp_path) as network:
        code = network.invite(private=True, ca_file=str(ca_file))
        assert (await network.accept(body_for(code, base_url=f"{scheme}://10.0.0.1"))).status == 200
        (pairing,) = network.server.app.config.pairings
        assert pairing.ca_file == (ca_file if scheme == "https" else None)


async def test_an_invitation_is_good_once_and_a_repeat_of_the_same_request_is_harmless(tmp_path: Path) -> None:
    async with inviting(tmp_path) as network:
        code = network.invite()
        first = await network.accept(body_for(code))
        written = network.text
        again = await network.accept(body_for(code))
        assert (again.status, again.json()) == (200, first.json())
        for changed in (
            {"network_id": "net_c", "base_url": "https://net-c.test", "token": "c" + TOKEN, "reply_token": "c" + REPLY},
            {"token": "c" + TOKEN},
            {"reply_token": "c" + REPLY},
        ):
            other = await network.accept(body_for(code, **changed))
            assert (other.status, other.code) == (401, "not_invited")
        assert network.text == written


async def test_of_many_at_the_same_moment_one_is_let_in(tmp_path: Path) -> None:
    answers: list[int] = []
    async with inviting(tmp_path) as network:
        code = network.invite()

        async def try_as(number: int) -> None:
            body = body_for(
                code,
                network_id=f"net-{number}",
                base_url=f"https://net-{number}.test",
                token=f"{TOKEN}-{number}",
                reply_token=f"{REPLY}-{number}",
            )
            answers.append((await network.accept(body)).status)

        async with trio.open_nursery() as nursery:
            for number in range(8):
                nursery.start_soon(try_as, number)
        assert sorted(answers) == [200, *[401] * 7]
        assert len(network.server.app.config.pairings) == 1


async def test_an_unknown_an_expired_and_a_guessed_invitation_look_the_same(tmp_path: Path) -> None:
    async with inviting(tmp_path) as network:
        code = network.invite()
        texts = set()
        for body in (
            body_for(code, secret="guessed"),
            body_for(code, secret=""),
            body_for(code, invitation_id="0123456789abcdef"),
            body_for(network.invite(age_hours=2)),
        ):
            answer = await network.accept(body)
            assert (answer.status, answer.code) == (401, "not_invited")
            texts.add(answer.json()["error"])
        assert len(texts) == 1
        assert network.text == FILE


async def test_guessing_ends_at_the_limit_of_failed_authentications(tmp_path: Path) -> None:
    async with inviting(tmp_path) as network:
        network.server.app.admission.adopt(LimitSettings(failed_authentications_per_address=Rate(0.001, 3)))
        code = network.invite()
        for _ in range(3):
            assert (await network.accept(body_for(code, secret="guessed"))).status == 401
        assert (await network.accept(body_for(code, secret="guessed"))).status == 429
        assert (await network.accept(body_for(code))).status == 429


BAD: list[tuple[dict[str, Any], str]] = [
    ({"network_id": ""}, "$.network_id"),
    ({"network_id": "lab"}, "$.network_id"),
    ({"network_id": "a:b"}, "$.network_id"),
    ({"network_id": "a b"}, "$.network_id"),
    ({"network_name": "a\nb"}, "$.network_name"),
    ({"base_url": "ftp://net-b.test"}, "$.base_url"),
    ({"base_url": "http://net-b.test"}, "$.base_url"),
    ({"base_url": "https://u:p@net-b.test"}, "$.base_url"),
    ({"base_url": "https://127.0.0.1:8787"}, "$.base_url"),
    ({"base_url": "https://169.254.169.254"}, "$.base_url"),
    ({"base_url": "https://localhost"}, "$.base_url"),
    ({"base_url": "https://[::ffff:10.0.0.1]"}, "$.base_url"),
    ({"token": "short"}, "$.token"),
    ({"token": "changeme"}, "$.token"),
    ({"reply_token": TOKEN}, "$.reply_token"),
    ({"reply_token": "a b" * 20}, "$.reply_token"),
    ({"rooms": ["general", "secret-room"]}, "$.rooms"),
]


@pytest.mark.parametrize(("changed", "path"), BAD)
async def test_what_makes_no_sense_is_refused_and_the_invitation_stays_open(
    tmp_path: Path, changed: dict[str, Any], path: str
) -> None:
    async with inviting(tmp_path) as network:
        code = network.invite()
        answer = await network.accept(body_for(code, **changed))
        assert (answer.status, [problem["path"] for problem in answer.json()["problems"]]) == (422, [path])
        assert TOKEN not in answer.body.decode()
        assert network.text == FILE
        assert (await network.accept(body_for(code))).status == 200


async def test_a_network_that_is_paired_already_is_not_paired_twice(tmp_path: Path) -> None:
    async with inviting(tmp_path) as network:
        assert (await network.accept(body_for(network.invite()))).status == 200
        for changed in ({}, {"network_id": "net_c"}, {"base_url": "https://elsewhere.test"}):
            tokens = {"token": f"{TOKEN}2", "reply_token": f"{REPLY}2"}
            answer = await network.accept(body_for(network.invite(), **tokens, **changed))
            assert (answer.status, answer.code) == (409, "already_paired")


async def test_an_invitation_for_private_networks_lets_them_in(tmp_path: Path) -> None:
    async with inviting(tmp_path) as network:
        body = body_for(network.invite(private=True), base_url="http://127.0.0.1:1")
        assert (await network.accept(body)).status == 200
        assert network.server.app.config.pairings[0].allow_private_address is True
        link = body_for(network.invite(private=True), base_url="http://169.254.169.254", network_id="net_c")
        assert (await network.accept(link)).status == 422


async def test_a_file_that_cannot_be_followed_is_put_back_and_the_stranger_learns_nothing_of_it(tmp_path: Path) -> None:
    async with inviting(tmp_path) as network:
        code = network.invite()
        changed = FILE.replace('"127.0.0.1:0"', '"127.0.0.1:1"')  # the operator wants to restart later
        network.path.write_text(changed)
        answer = await network.accept(body_for(code))
        assert (answer.status, answer.code) == (409, "cannot_pair")
        assert "listen_addr" not in answer.body.decode()
        assert network.text == changed
        network.path.write_text("rooms: {")
        assert (await network.accept(body_for(code))).code == "cannot_pair"
        network.path.write_text(FILE)
        assert (await network.accept(body_for(code))).status == 200


async def test_a_crash_after_the_file_was_written_leaves_the_invitation_used(tmp_path: Path) -> None:
    async with inviting(tmp_path) as network:
        code = network.invite()
        kept = invitations_path(network.path).read_bytes()
        assert (await network.accept(body_for(code))).status == 200
        invitations_path(network.path).write_bytes(kept)  # as if nobody had marked it
        invitations_path(network.path).chmod(0o600)
        answer = await network.accept(body_for(code, network_id="net_c", base_url="https://c.test", token=f"{TOKEN}c"))
        assert (answer.status, answer.code) == (401, "not_invited")


async def test_the_secret_is_kept_as_a_digest_in_a_private_file(tmp_path: Path) -> None:
    async with inviting(tmp_path) as network:
        code = network.invite()
        path = invitations_path(network.path)
        assert code.secret not in path.read_text()
        assert path.stat().st_mode & 0o777 == 0o600
        path.chmod(0o644)
        assert (await network.accept(body_for(code))).code == "cannot_pair"


def test_a_code_survives_mail_and_says_when_it_is_damaged() -> None:
    now = datetime.now(UTC)
    _, code = new_invitation(
        network_id="lab",
        network_name="Lab ✓",
        base_url="https://lab.test",
        rooms=("general",),
        lifetime=timedelta(hours=1),
        allow_private_address=False,
        now=now,
    )
    text = code.text()
    assert parse_code(f"  {text[:40]}\r\n {text[40:]}\n") == code
    assert code.secret not in repr(code)
    for damaged in ("", text[:-9], text[:-1] + "!", text[15:], "moltnet-pair-v2." + text[16:], text * 50):
        with pytest.raises(BadCode) as caught:
            parse_code(damaged)
        assert code.secret not in str(caught.value)


@pytest.mark.parametrize(
    "changed",
    [
        {"network_id": "a b"},
        {"base_url": "javascript:alert(1)"},
        {"rooms": ("a b",)},
        {"network_name": "\x1b[2J"},
        {"secret": ""},
        {"expires_at": "tomorrow"},
        {"expires_at": "2026-11-20T00:00:00"},
    ],
)
def test_a_code_with_something_strange_in_it_is_none(changed: dict[str, Any]) -> None:
    code = InvitationCode("1", "s", "lab", "https://lab.test", datetime.now(UTC).isoformat())  # type: ignore[arg-type]  # a NewType
    with pytest.raises(BadCode):
        parse_code(attrs.evolve(code, **changed).text())
