"""What a request may look like, and how it is told what is wrong with it."""

import re
from collections.abc import Mapping

import orjson
import pytest

from moltnet.config.settings import AuthMode
from moltnet.protocol import limits
from moltnet.protocol.codec import unstructure
from tests.fakes.http_client import bearer, http_client, open_connection
from tests.fakes.network import network_config, open_test_server, room_message, token

ENVELOPE = {"code", "error", "request_id"}


class TestTheRequestId:
    @pytest.mark.parametrize("given", ["abc", "A.b_c:d-1", "x" * 128])
    async def test_a_sensible_one_is_echoed_everywhere(self, given: str) -> None:
        async with open_test_server() as server:
            for target in ("/v1/network", "/v1/nothing"):
                answer = await http_client(server).get(target, X_Request_Id=given)
                assert answer.headers["x-request-id"] == given
                if answer.status == 404:
                    assert answer.json()["request_id"] == given

    @pytest.mark.parametrize("given", ["", "x" * 129, "with blank", "ünicode", 'quo"te', "semi;colon"])
    async def test_any_other_is_replaced(self, given: str) -> None:
        async with open_test_server() as server:
            headers = {"X-Request-Id": given.encode().decode("latin-1")}
            answer = await http_client(server).request("GET", "/v1/network", headers=headers)
            assert re.fullmatch(r"req_[0-9a-f]{16}", answer.headers["x-request-id"])


# A body → status, code, and the paths of what is wrong.
BODIES: list[tuple[bytes, int, str, list[str]]] = [
    (b"", 400, "invalid_json", ["$"]),
    (b"{", 400, "invalid_json", ["$"]),
    (b'{"target":', 400, "invalid_json", ["$"]),
    (b"{} {}", 400, "invalid_json", ["$"]),
    (b"{}trailing", 400, "invalid_json", ["$"]),
    (b"[]", 400, "invalid_json", ["$"]),
    (b'"text"', 400, "invalid_json", ["$"]),
    (b"NaN", 400, "invalid_json", ["$"]),
    (b"\xff\xfe", 400, "invalid_json", ["$"]),
    (b"[" * 1000 + b"]" * 1000, 400, "invalid_json", ["$"]),
    (b'{"id":5}', 400, "invalid_field", ["$.id"]),
    (b'{"id":true,"parts":{}}', 400, "invalid_field", ["$.id", "$.parts"]),
    (b'{"target":"room"}', 400, "invalid_field", ["$.target"]),
    (b'{"target":{"room_id":["a"]}}', 400, "invalid_field", ["$.target.room_id"]),
    (b'{"parts":[{"kind":"text"},{"kind":5}]}', 400, "invalid_field", ["$.parts[1].kind"]),
    (b'{"parts":["text"]}', 400, "invalid_field", ["$.parts[0]"]),
    (b'{"from":{"id":null,"name":7}}', 400, "invalid_field", ["$.from.name"]),
    (b'{"mentions":["a",1,"b",2]}', 400, "invalid_field", ["$.mentions[1]", "$.mentions[3]"]),
    # Well-formed, and still no message.
    (b"{}", 422, "invalid_field", ["$.from.id", "$.parts", "$.target.kind"]),
    (b"null", 422, "invalid_field", ["$.from.id", "$.parts", "$.target.kind"]),
]


@pytest.mark.parametrize(("body", "status", "code", "paths"), BODIES)
async def test_a_bad_body_is_told_what_is_wrong_and_where(
    body: bytes, status: int, code: str, paths: list[str]
) -> None:
    async with open_test_server() as server:
        answer = await http_client(server).request("POST", "/v1/messages", body)
        assert (answer.status, answer.code) == (status, code)
        assert answer.headers["content-type"] == "application/json"
        assert answer.json().keys() == ENVELOPE | {"problems"}
        assert sorted(problem["path"] for problem in answer.json()["problems"]) == paths


class TestLeniency:
    async def test_unknown_fields_are_ignored(self) -> None:
        async with open_test_server() as server:
            body = {**unstructure(room_message()), "colour": "green", "created_at": 5, "accepted": {"no": []}}
            assert (await http_client(server).post("/v1/messages", body)).status == 202

    async def test_null_means_not_given(self) -> None:
        async with open_test_server() as server:
            body = {**unstructure(room_message()), "id": None, "origin": None, "mentions": None}
            assert (await http_client(server).post("/v1/messages", body)).status == 202

    @pytest.mark.parametrize(
        "content_type", ["application/json", "text/plain", "application/x-www-form-urlencoded", ""]
    )
    async def test_the_content_type_does_not_matter(self, content_type: str) -> None:
        async with open_test_server() as server:
            answer = await http_client(server).request(
                "POST", "/v1/messages", room_message(), headers={"Content-Type": content_type}
            )
            assert answer.status == 202

    async def test_blanks_around_the_document_do_not_matter(self) -> None:
        async with open_test_server() as server:
            body = b" \n\t" + orjson.dumps(unstructure(room_message())) + b"\n \n"
            assert (await http_client(server).request("POST", "/v1/messages", body)).status == 202

    async def test_two_equal_keys_are_too_many(self) -> None:
        """Of those a filter in front of us may have read the other one."""
        async with open_test_server() as server:
            body = orjson.dumps(unstructure(room_message()))[:-1] + b',"id":"first","id":"second"}'
            answer = await http_client(server).request("POST", "/v1/messages", body)
            assert (answer.status, answer.code) == (400, "invalid_json")


class TestSize:
    @pytest.mark.parametrize("chunk_bytes", [0, 1024, 100_000])
    async def test_a_body_beyond_the_limit_is_refused_with_and_without_a_length(self, chunk_bytes: int) -> None:
        async with open_test_server() as server:
            body = b" " * (limits.MAX_BODY_BYTES + 1)
            for method, target in [("POST", "/v1/messages"), ("PATCH", "/v1/rooms/general/members")]:
                answer = await http_client(server).request(method, target, body, chunk_bytes=chunk_bytes)
                assert (answer.status, answer.code) == (413, "body_too_large")
                assert answer.json().keys() == ENVELOPE

    @pytest.mark.parametrize("chunk_bytes", [0, 1024])
    async def test_a_body_at_the_limit_is_read(self, chunk_bytes: int) -> None:
        async with open_test_server() as server:
            body = orjson.dumps(unstructure(room_message()))
            padded = body + b" " * (limits.MAX_BODY_BYTES - len(body))
            answer = await http_client(server).request("POST", "/v1/messages", padded, chunk_bytes=chunk_bytes)
            assert answer.status == 202

    async def test_a_message_that_fits_into_a_body_but_into_no_frame_is_refused(self) -> None:
        async with open_test_server() as server:
            text = "x" * (limits.MAX_BODY_BYTES - 500)
            answer = await http_client(server).post("/v1/messages", room_message(text))
            assert (answer.status, answer.code) == (413, "message_too_large")

    async def test_a_flood_of_wrong_items_is_answered_with_a_few_problems(self) -> None:
        async with open_test_server() as server:
            body = b'{"mentions":[' + b"1," * 400_000 + b"1]}"
            answer = await http_client(server).request("POST", "/v1/messages", body)
            assert answer.status == 400
            assert len(answer.json()["problems"]) == limits.MAX_REPORTED_PROBLEMS

    async def test_a_body_whose_end_never_comes_holds_only_its_connection(self) -> None:
        async with open_test_server() as server, open_connection(server.url) as connection:
            await connection.stream.send_all(
                b"POST /v1/messages HTTP/1.1\r\nHost: lab.test\r\nContent-Length: 100\r\n\r\n{"
            )
            assert (await http_client(server).get("/healthz")).status == 200


class TestConnections:
    async def test_a_connection_serves_one_request_after_another(self) -> None:
        async with open_test_server() as server, open_connection(server.url) as connection:
            for _ in range(3):
                await connection.send_request("GET", "/v1/network", {})
                assert (await connection.receive_answer()).status == 200
                connection.next_cycle()

    @pytest.mark.parametrize("garbage", [b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"hello\r\n\r\n", b"\r\n" * 50])
    async def test_what_is_not_http_ends_its_connection_and_nothing_else(self, garbage: bytes) -> None:
        async with open_test_server() as server:
            async with open_connection(server.url) as connection:
                await connection.stream.send_all(garbage)
                await connection.stream.send_eof()
                while await connection.stream.receive_some():
                    pass
            assert (await http_client(server).get("/healthz")).status == 200

    async def test_a_request_that_is_half_sent_ends_with_its_connection(self) -> None:
        async with open_test_server() as server:
            async with open_connection(server.url) as connection:
                await connection.stream.send_all(
                    b"POST /v1/messages HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{"
                )
            assert (await http_client(server).get("/v1/rooms/general/messages")).json()["messages"] == []


TOKENS = [token("ops", "observe write admin")]


class TestCredentials:
    @pytest.mark.parametrize(
        "headers",
        [
            {"Authorization": "Bearer nonsense"},
            {"Authorization": "Basic b3BzOm9wcw=="},
            {"Authorization": "Bearer"},
            {"Authorization": "bearer nonsense"},
            {"Authorization": "Bearer magt_v1_" + "a" * 43},
        ],
    )
    async def test_a_bad_one_never_counts_as_none(self, headers: Mapping[str, str]) -> None:
        config = network_config(mode=AuthMode.OPEN, tokens=TOKENS)
        async with open_test_server(config) as server:
            for target in ("/v1/network", "/v1/rooms", "/v1/events/stream", "/v1/agents", "/v1/dms"):
                answer = await http_client(server).request("GET", target, headers=headers)
                assert (answer.status, answer.code) == (401, "invalid_token")
                assert "nonsense" not in answer.body.decode()

    async def test_it_counts_in_the_header_only(self) -> None:
        config = network_config(mode=AuthMode.BEARER, tokens=TOKENS)
        async with open_test_server(config) as server:
            value = bearer("ops")["Authorization"].removeprefix("Bearer ")
            client = http_client(server)
            assert (await client.get(f"/v1/rooms?access_token={value}")).status == 401
            assert (await client.get("/v1/rooms", Cookie=f"moltnet_auth={value}")).status == 401
            assert (await http_client(server, "ops").get("/v1/rooms")).status == 200

    async def test_in_mode_none_it_is_not_looked_at(self) -> None:
        async with open_test_server() as server:
            assert (await http_client(server).get("/v1/rooms", Authorization="nonsense")).status == 200


class TestWebPages:
    """Who asks nobody for a token must not let any web page write (design §3.8)."""

    @pytest.mark.parametrize("origin", ["http://evil.test", "null", "", "http://console.test:81"])
    async def test_in_mode_none_other_origins_write_nothing(self, origin: str) -> None:
        async with open_test_server() as server:
            client = http_client(server)
            for method, target in [
                ("POST", "/v1/messages"),
                ("POST", "/v1/rooms"),
                ("PATCH", "/v1/rooms/general/members"),
                ("POST", "/v1/agents/register"),
            ]:
                answer = await client.request(method, target, room_message(), headers={"Origin": origin})
                assert (answer.status, answer.code) == (403, "origin_forbidden")
            assert (await client.get("/v1/rooms/general/messages")).json()["messages"] == []

    async def test_the_console_and_programs_may(self) -> None:
        async with open_test_server() as server:
            for headers in ({"Origin": "http://console.test"}, dict[str, str]()):
                answer = await http_client(server).request("POST", "/v1/messages", room_message(), headers=headers)
                assert answer.status == 202

    async def test_who_shows_a_token_is_no_web_page_that_borrows_one(self) -> None:
        async with open_test_server(network_config(mode=AuthMode.BEARER, tokens=TOKENS)) as server:
            headers = {"Origin": "https://chat.example.com"}
            answer = await http_client(server, "ops").request("POST", "/v1/rooms", {"id": "r"}, headers=headers)
            assert answer.status == 201

    async def test_nothing_invites_them(self) -> None:
        async with open_test_server() as server:
            for method in ("GET", "OPTIONS", "POST"):
                answer = await http_client(server).request(method, "/v1/rooms", headers={"Origin": "http://evil.test"})
                assert not [name for name in answer.headers if name.startswith("access-control-")]
