"""Which methods a route takes, and which paths are no routes; for all routes that there are."""

from collections.abc import AsyncIterator, Mapping

import pytest

from moltnet.config.settings import AuthMode
from moltnet.http.api import make_api
from tests.fakes.http_client import http_client
from tests.fakes.network import TestServer, network_config, open_test_server, room, room_message, token

FQID = "molt://net_b/agents/gamma"
ENCODED = "molt%3A%2F%2Fnet_b%2Fagents%2Fgamma"


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async with open_test_server(network_config(rooms=[room("general", "alpha", "net_b:gamma")])) as server:
        yield server


def methods_by_path(server: TestServer) -> Mapping[str, set[str]]:
    """All routes with concrete ids in them, from the router itself."""
    adapter = make_api(server.app).url_map.bind("lab.test")
    paths = {rule.rule.replace("<path:path>", "x").replace("<path:agent_id>", "x") for rule in adapter.map.iter_rules()}
    concrete = {"/".join("x" if part.startswith("<") else part for part in path.split("/")) for path in paths}
    return {path: set(adapter.allowed_methods(path)) for path in concrete}


async def test_every_route_tells_which_methods_it_takes(server: TestServer) -> None:
    routes = methods_by_path(server)
    assert {"/v1/rooms", "/v1/rooms/x", "/v1/agents/x", "/v1/messages", "/v1/attach", "/healthz"} <= routes.keys()
    for path, methods in routes.items():
        assert methods
        for method in {"BREW", "OPTIONS", "TRACE", "PUT", "GET", "POST", "DELETE"} - methods:
            answer = await http_client(server).request(method, path)
            assert (path, method, answer.status, answer.code) == (path, method, 405, "method_not_allowed")
            assert answer.headers["allow"] == ", ".join(sorted(methods))
            assert ("HEAD" in methods) is ("GET" in methods)


async def test_nothing_is_told_about_cors(server: TestServer) -> None:
    preflight = {"Origin": "http://evil.test", "Access-Control-Request-Method": "POST"}
    answer = await http_client(server).request("OPTIONS", "/v1/messages", headers=preflight)
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "path",
    [
        "//v1/rooms",
        "/v1//rooms",
        "/v1/rooms/",
        "/v1/rooms//messages",
        "/v1/./rooms",
        "/v1/../v1/rooms",
        "/v1/rooms/..",
        "/v1/rooms/%2e%2e",
        "/v1/rooms/%2E",
        "/v1/rooms/general/messages/",
        "/v1/agents/alpha/",
        "/v1/agents//alpha",
        "/v1/agents/../rooms",
        f"/v1/agents/{FQID}/",
        "/v1/agents/molt://net_b/../agents/gamma",
        "/./healthz",
        "/healthz/",
        "//console/",
        "/v1/rooms/general%2Fmessages/",
        "/v1/rooms/a%2Fb/c",
        "/v1/rooms%00",
        "/v1/rooms%2F",
    ],
)
async def test_a_path_that_is_not_clean_is_unknown_and_leads_nowhere(server: TestServer, path: str) -> None:
    for method in ("GET", "HEAD", "DELETE"):
        answer = await http_client(server).request(method, path)
        assert (path, answer.status) == (path, 404)
        assert "location" not in answer.headers
        if method != "HEAD":
            assert answer.code == "unknown_route"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/rooms/%67eneral", 200),
        ("/v1/rooms/general%2Fmessages", 200),
        ("/%76%31/rooms", 200),
        ("/v1/rooms/%20general%20", 200),
        ("/v1/rooms/g%C3%A9neral", 404),
        ("/v1/rooms/%FF", 404),
        ("/v1/rooms/%00", 404),
        ("/v1/rooms/%zz", 404),
        ("/v1/rooms/general?x=/../", 200),
        ("/v1/agents/%61lpha", 200),
    ],
)
async def test_ids_in_a_path_are_percent_decoded_once(server: TestServer, path: str, status: int) -> None:
    assert (await http_client(server).get(path)).status == status


@pytest.mark.parametrize("agent", [FQID, ENCODED, "net_b:gamma", "net_b%3Agamma"])
async def test_an_agent_of_another_network_is_named_in_any_way_on_every_route(server: TestServer, agent: str) -> None:
    client = http_client(server)
    assert (await client.get(f"/v1/agents/{agent}")).json()["fqid"] == FQID
    assert (await client.request("HEAD", f"/v1/agents/{agent}")).status == 200
    removed = await client.delete(f"/v1/agents/{agent}")
    assert (removed.status, removed.code) == (404, "unknown_agent")  # it is only a member here
    wrong = await client.request("PUT", f"/v1/agents/{agent}")
    assert (wrong.status, wrong.headers["allow"]) == (405, "DELETE, GET, HEAD")


@pytest.mark.parametrize("agent", ["molt://lab/agents/luna", "molt%3a%2f%2flab%2fagents%2fluna", "lab:luna", "luna"])
async def test_an_agent_of_this_network_is_removed_by_any_of_its_names(server: TestServer, agent: str) -> None:
    client = http_client(server)
    await client.post("/v1/agents/register", {"requested_agent_id": "luna"})
    assert (await client.delete(f"/v1/agents/{agent}")).json()["id"] == "luna"
    assert (await client.get(f"/v1/agents/{agent}")).status == 404


class TestWhatAClientTakes:
    @pytest.mark.parametrize(
        "accept",
        ["", "*/*", "application/json", "text/html", "text/html,*/*;q=0.1", "application/json, */*;q=0", "nonsense"],
    )
    async def test_json_goes_to_whoever_does_not_exclude_it(self, server: TestServer, accept: str) -> None:
        assert (await http_client(server).get("/v1/rooms", Accept=accept)).status == 200

    @pytest.mark.parametrize("accept", ["application/json;q=0", "text/html, */*;q=0", "application/*;q=0.0"])
    async def test_who_excludes_it_is_told_before_anything_happens(self, server: TestServer, accept: str) -> None:
        client = http_client(server)
        for method, path, body in [("GET", "/v1/rooms", None), ("POST", "/v1/messages", room_message())]:
            answer = await client.request(method, path, body, headers={"Accept": accept})
            assert (answer.status, answer.code) == (406, "not_acceptable")
        assert (await client.get("/v1/rooms/general/messages")).json()["messages"] == []
        assert (await client.request("GET", "/v1/nothing", headers={"Accept": accept})).status == 404
        assert (await client.request("PUT", "/v1/rooms", headers={"Accept": accept})).status == 405

    async def test_a_stream_goes_to_whoever_does_not_exclude_streams(self, server: TestServer) -> None:
        client = http_client(server)
        for accept, status in [
            ("text/event-stream", 200),
            ("text/event-stream, */*;q=0", 200),
            ("application/json", 200),
            ("*/*, text/event-stream;q=0", 406),
        ]:
            answer = await client.request("HEAD", "/v1/events/stream", headers={"Accept": accept})
            assert (accept, answer.status) == (accept, status)


class TestWhatIsTakenFromAClient:
    @pytest.mark.parametrize(
        "headers",
        [
            {"Content-Type": "application/x-www-form-urlencoded"},
            {"Content-Type": "application/json; charset=UTF-8"},
            {"Content-Type": "text/plain;charset=us-ascii", "Content-Encoding": "identity"},
        ],
    )
    async def test_what_may_be_json_is_read(self, server: TestServer, headers: Mapping[str, str]) -> None:
        answer = await http_client(server).request("POST", "/v1/messages", room_message(), headers=headers)
        assert answer.status == 202

    @pytest.mark.parametrize(
        "headers",
        [
            {"Content-Encoding": "gzip"},
            {"Content-Type": "multipart/form-data; boundary=x"},
            {"Content-Type": "application/json; charset=utf-16"},
        ],
    )
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("POST", "/v1/messages"),
            ("POST", "/v1/rooms"),
            ("PATCH", "/v1/rooms/general/members"),
            ("POST", "/v1/rooms/general/restore"),
            ("POST", "/v1/agents/register"),
            ("POST", "/v1/apply"),
        ],
    )
    async def test_what_cannot_be_is_refused(
        self, server: TestServer, method: str, path: str, headers: Mapping[str, str]
    ) -> None:
        answer = await http_client(server).request(method, path, b"{}", headers=headers)
        assert (answer.status, answer.code) == (415, "unsupported_media_type")
        assert answer.headers["accept-encoding"] == "identity"

    async def test_who_sends_nothing_may_call_it_what_they_like(self, server: TestServer) -> None:
        client = http_client(server)
        await client.delete("/v1/rooms/general")
        headers = {"Content-Type": "multipart/form-data"}
        assert (await client.request("POST", "/v1/rooms/general/restore", headers=headers)).status == 200

    async def test_who_may_not_write_is_told_that_first(self) -> None:
        config = network_config(mode=AuthMode.BEARER, tokens=[token("observer", "observe")])
        async with open_test_server(config) as server:
            headers = {"Content-Encoding": "gzip"}
            for caller, status in [("", 401), ("observer", 403)]:
                client = http_client(server, caller)
                assert (await client.request("POST", "/v1/rooms", b"{}", headers=headers)).status == status
