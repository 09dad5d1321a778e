"""The fuzzer of running servers: it finds nothing at ours, and what is broken at one that breaks its promises."""

import random
from pathlib import Path

import attrs
import orjson
import pytest
import trio

from fuzz.client.__main__ import main
from fuzz.client.probing import Options
from fuzz.client.report import Report
from fuzz.client.run import PROBES, Unreachable, run
from fuzz.client.wire import BadTarget, Place, Wire
from moltnet.config.settings import AuthMode
from tests.fakes.network import GENERAL, network_config, open_test_server, room, secret_of, token
from tests.fakes.ports import free_port
from tests.fuzz.broken_server import open_broken_server

RATE = 1000.0
WRITING = Options(room=GENERAL, sender="alpha", agent="beta", patience_seconds=11, slow_seconds=13)
QUICK = frozenset({"heads", "framing", "methods", "sizes", "pipelining", "documents", "queries", "texts", "repeats"})
# A healthy server answers in milliseconds, and this one never does what it is waited for.
IMPATIENT = attrs.evolve(WRITING, token="SOME-TOKEN-OF-OURS", patience_seconds=0.15, slow_seconds=0.4)


async def look_at(url: str, options: Options, names: frozenset[str] = frozenset(), seed: int = 1) -> Report:
    """One round, of these probes or of all."""
    probes = [probe for probe in PROBES if not names or probe.name in names]
    return await run(url, Wire(Place.parse(url), RATE, 32), options, probes, seed, 600, 1)


def config(mode: AuthMode) -> object:
    return network_config(
        mode=mode,
        rooms=(room(GENERAL, "alpha", "beta", "gamma"),),
        tokens=() if mode is AuthMode.NONE else (token("fuzzer", "write attach observe", "alpha", "beta"),),
    )


@pytest.mark.parametrize("mode", [AuthMode.NONE, AuthMode.BEARER])
async def test_our_server_keeps_its_promises_over_http(mode: AuthMode) -> None:
    secret = "" if mode is AuthMode.NONE else secret_of("fuzzer")
    options = attrs.evolve(WRITING, token=secret, patience_seconds=3)
    async with open_test_server(config(mode)) as server:  # type: ignore[arg-type]
        report = await look_at(server.url, options, QUICK, seed=random.SystemRandom().randrange(2**32))
    assert [each for tried in report.probes.values() for each in tried.violations] == []
    assert report.violated == 0
    assert {name for name, tried in report.probes.items() if tried.cases} == QUICK


@pytest.mark.slow
async def test_our_server_keeps_every_promise() -> None:
    async with open_test_server(config(AuthMode.NONE)) as server:  # type: ignore[arg-type]
        report = await look_at(server.url, WRITING)
    assert [each for tried in report.probes.values() for each in tried.violations] == []
    assert not [tried for tried in report.probes.values() if tried.skipped]


async def test_without_a_token_everything_is_refused_and_nothing_breaks() -> None:
    async with open_test_server(config(AuthMode.BEARER)) as server:  # type: ignore[arg-type]
        report = await look_at(server.url, attrs.evolve(WRITING, patience_seconds=5), QUICK | {"attach frames"})
    assert report.violated == 0
    assert report.probes["attach frames"].skipped


async def test_a_server_that_breaks_its_promises_is_found_out() -> None:
    async with open_broken_server() as server:
        report = await look_at(server.url, IMPATIENT)
    broken = {name for name, tried in report.probes.items() if tried.violated}
    assert broken == {probe.name for probe in PROBES} - {
        "slow bodies",
        "slow readers",
        "held streams",
        "pipelining",
        "windows",
    }
    found = " ".join(each.what for tried in report.probes.values() for each in tried.violations)
    for what in (
        "answered 500",
        "a request was hidden in another",
        "as if it were a GET",
        "without a text that says what is wrong",
        "the answer holds the token",
        "a page of 1000",
        "and says something else",
        "is there 4 times",
        "a place is held",
        "no event stream",
        "was upgraded",
        "goes on as if nothing were wrong",
        "after which clients stay away",
        "without its version",
        "not HELLO",
    ):
        assert what in found, what


async def test_a_server_that_dies_is_noticed() -> None:
    async with open_broken_server(dies_after=10) as server:
        report = await look_at(server.url, IMPATIENT, frozenset({"queries"}))
    assert "the server does not answer any more" in str(report.probes["afterwards"].violations)


async def test_a_run_repeats_itself_with_the_same_seed() -> None:
    cases = []
    for _ in range(2):
        async with open_broken_server() as server:
            report = await look_at(server.url, IMPATIENT, frozenset({"documents", "framing"}), seed=5)
            cases.append([(tried.name, tried.cases, tried.outcomes) for tried in report.probes.values()])
    assert cases[0] == cases[1]


async def test_connections_and_their_rate_are_bounded() -> None:
    async with open_broken_server() as server:
        wire = Wire(Place.parse(server.url), rate=20, connections=2)
        began, open_at_once, most = trio.current_time(), 0, 0

        async def hold() -> None:
            nonlocal open_at_once, most
            async with wire.open():
                open_at_once += 1
                most = max(most, open_at_once)
                await trio.lowlevel.checkpoint()
                open_at_once -= 1

        async with trio.open_nursery() as nursery:
            for _ in range(6):
                nursery.start_soon(hold)
        assert most <= 2
        assert trio.current_time() - began >= 5 / 20


@pytest.mark.parametrize(
    "url", ["", "localhost:8787", "ftp://x", "http://", "http://user:x@host", "http://[", "http://h:x"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(BadTarget):
        Place.parse(url)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--seconds", "1"],
        ["--url", "nowhere"],
        ["--url", "http://x", "--rate", "1e9"],
        ["--url", "http://x", "--only", "y"],
    ],
)
def test_without_a_target_or_bounds_it_does_not_run(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOLTNET_BASE_URL", "http://127.0.0.1:1")
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage" in capsys.readouterr().err


async def test_where_nobody_answers_there_is_nothing_to_try() -> None:
    with pytest.raises(Unreachable):
        await look_at(f"http://127.0.0.1:{free_port()}", IMPATIENT)


async def test_the_command_says_what_it_tried_and_fails_if_a_promise_was_broken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with open_broken_server() as server:
        arguments = ["--url", server.url, "--rounds", "1", "--only", "queries", "--seed", "3", "--rate", "500"]
        path = tmp_path / "report.json"
        code = await trio.to_thread.run_sync(main, [*arguments, "--report", str(path)])
    assert code == 1
    shown = capsys.readouterr().out
    assert "!! queries: 27 cases" in shown
    document = orjson.loads(path.read_bytes())
    assert document["violations"] > 0
    assert document["seed"] == 3
    assert document["probes"][0]["promise"] == "Whatever a query holds, a page has at most 500 items."
    assert document["probes"][0]["violations"][0]["what"] == "a page of 501"
