"""What one connection carries: requests for the lane and others, in pieces, in a row, and how it ends."""

import pytest
import trio
import trio.testing

from moltnet.lane import connection as lane_connection
from moltnet.protocol import limits
from moltnet.protocol.codec import encode
from tests.fakes.faulty_store import FaultyStore
from tests.fakes.http_client import HttpConnection, http_client, open_connection, open_narrow_connection
from tests.fakes.network import open_test_server, post_texts, room_message, wait_until

HOST = "Host: lab.test\r\n"
PAGE = f"GET /v1/rooms/general/messages HTTP/1.1\r\n{HOST}\r\n".encode()
ROOMS = f"GET /v1/rooms HTTP/1.1\r\n{HOST}\r\n".encode()


def send_request(message_id: str, more: str = "") -> bytes:
    body = encode(room_message(message_id=message_id))
    return f"POST /v1/messages HTTP/1.1\r\n{HOST}{more}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def answers(connection: HttpConnection, count: int) -> list[int]:
    """The statuses of so many answers."""
    statuses: list[int] = []
    for _ in range(count):
        if statuses:
            connection.next_cycle()
        connection.expect_answer()
        with trio.fail_after(10):
            statuses.append((await connection.receive_answer()).status)
    return statuses


async def is_ended(connection: HttpConnection) -> bool:
    with trio.fail_after(10):
        return await connection.stream.receive_some() == b""


class TestInARow:
    async def test_requests_that_come_at_once_are_answered_in_their_order(self, asked: list[str]) -> None:
        async with open_test_server() as server, open_connection(server.url) as connection:
            await connection.stream.send_all(send_request("m1") + PAGE + send_request("m2") + PAGE)
            assert await answers(connection, 4) == [202, 200, 202, 200]
        assert asked == []

    async def test_what_follows_a_request_for_the_full_parser_goes_there_too(self, asked: list[str]) -> None:
        async with open_test_server() as server, open_connection(server.url) as connection:
            await connection.stream.send_all(send_request("m1") + ROOMS + send_request("m2") + ROOMS)
            assert await answers(connection, 4) == [202, 200, 202, 200]
        assert asked == ["GET /v1/rooms", "POST /v1/messages", "GET /v1/rooms"]

    async def test_wherever_it_is_cut(self, asked: list[str]) -> None:
        data = send_request("m1") + PAGE + ROOMS + send_request("m2")
        async with open_test_server() as server:
            for cut in range(1, len(data), 7):
                async with open_connection(server.url) as connection:
                    await connection.stream.send_all(data[:cut])
                    await trio.testing.wait_all_tasks_blocked()
                    await connection.stream.send_all(data[cut:])
                    assert await answers(connection, 4) == [202, 200, 200, 202]
        assert set(asked) == {"GET /v1/rooms", "POST /v1/messages"}

    async def test_a_body_that_nobody_read_is_passed_over(self) -> None:
        async with open_test_server() as server, open_connection(server.url) as connection:
            strange = send_request("m1", "Origin: http://elsewhere.example\r\n")
            await connection.stream.send_all(strange + send_request("m2"))
            assert await answers(connection, 2) == [403, 202]

    @pytest.mark.parametrize("strange", [b"\r\n" + PAGE, b"\n" + PAGE, PAGE.replace(b": ", b":")])
    async def test_the_full_parser_judges_what_is_strange(self, strange: bytes, asked: list[str]) -> None:
        async with open_test_server() as server, open_connection(server.url) as connection:
            await connection.stream.send_all(send_request("m1") + strange)
            assert (await answers(connection, 2))[0] == 202
        assert len(asked) <= 1


class TestTheEnd:
    async def test_comes_after_an_answer_that_was_to_be_the_last(self) -> None:
        async with open_test_server() as server, open_connection(server.url) as connection:
            await connection.stream.send_all(send_request("m1", "Connection: close\r\n"))
            connection.expect_answer()
            answer = await connection.receive_answer()
            assert (answer.status, answer.headers["connection"]) == (202, "close")
            assert await is_ended(connection)

    async def test_comes_at_once_for_who_waits_when_the_server_stops(self) -> None:
        async with open_test_server() as server, open_connection(server.url) as connection:
            await connection.stream.send_all(PAGE)
            assert await answers(connection, 1) == [200]
            server.stop.set()
            assert await is_ended(connection)

    async def test_comes_after_the_answer_for_who_was_being_answered(self) -> None:
        store = FaultyStore()
        async with open_test_server(store=store) as server, open_connection(server.url) as connection:
            committed = len(store.batches)
            store.hold()
            await connection.stream.send_all(send_request("m1"))
            await wait_until(lambda: len(store.batches) > committed)
            server.stop.set()
            await trio.testing.wait_all_tasks_blocked()
            store.release()
            assert await answers(connection, 1) == [202]
            assert await is_ended(connection)

    async def test_half_a_request_and_then_nothing_is_told_what_it_is(self) -> None:
        whole = send_request("m1")
        for cut in (20, len(whole) - 5):
            async with open_test_server() as server, open_connection(server.url) as connection:
                await connection.stream.send_all(whole[:cut])
                await connection.stream.send_eof()
                assert await answers(connection, 1) == [400]


class TestTime:
    async def test_who_asks_for_nothing_is_let_go(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(lane_connection, "_LOOK_SECONDS", 0.01)
        monkeypatch.setattr("moltnet.serving.KEEP_ALIVE_SECONDS", 0.05)
        async with open_test_server() as server, open_connection(server.url) as connection:
            await connection.stream.send_all(PAGE)
            assert await answers(connection, 1) == [200]
            assert await is_ended(connection)

    async def test_a_head_that_drips_has_its_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(lane_connection, "_LOOK_SECONDS", 0.01)
        monkeypatch.setattr(limits, "HEAD_SECONDS", 0.05)
        async with open_test_server() as server, open_connection(server.url) as connection:
            await connection.stream.send_all(PAGE[:-2])
            assert await is_ended(connection)

    async def test_handed_over_it_has_no_more_time_than_it_had(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "HEAD_SECONDS", 0.1)
        async with open_test_server() as server, open_connection(server.url) as connection:
            await connection.stream.send_all(ROOMS[:-2])
            assert await is_ended(connection)

    async def test_a_body_that_drips_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "BODY_SECONDS", 0.05)
        async with open_test_server() as server, open_connection(server.url) as connection:
            await connection.stream.send_all(send_request("m1")[:-5])
            assert await answers(connection, 1) == [408]
            assert await is_ended(connection)

    async def test_who_leaves_holds_nothing_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(lane_connection, "_LOOK_SECONDS", 0.01)
        store = FaultyStore()
        async with open_test_server(store=store) as server:
            committed = len(store.batches)
            store.hold()
            async with open_connection(server.url) as connection:
                await connection.stream.send_all(send_request("m1"))
                await wait_until(lambda: len(store.batches) > committed)
            http = server.app.metrics.http
            await wait_until(lambda: http.in_progress == 0)
            store.release()


async def test_who_takes_nothing_is_cut_off_and_nobody_else_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "WRITE_SECONDS", 0.2)
    async with open_test_server() as server, open_narrow_connection(server.url) as slow:
        await post_texts(server.app, *["x" * 100_000] * 9)
        await slow.stream.send_all(PAGE * 20)
        client = http_client(server)
        for number in range(5):
            assert (await client.post("/v1/messages", room_message(message_id=f"m{number}"))).status == 202
        await wait_until(lambda: not server.app.admission.connections)
