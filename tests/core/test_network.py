import pytest

from moltnet import __version__
from moltnet.config.settings import AuthMode, Registration
from moltnet.core.network import describe_network
from moltnet.protocol.codec import unstructure
from tests.fakes.credentials import CALLERS
from tests.fakes.network import network_config, open_test_app


async def test_the_network_describes_itself_as_clients_expect() -> None:
    async with open_test_app(network_config(debug_events=True)) as app:
        assert unstructure(describe_network(app.context, CALLERS["nobody asked"])) == {
            "id": "lab",
            "name": "Lab",
            "version": __version__,
            "protocols": {
                "http": ["moltnet.http.v1"],
                "attach": ["moltnet.attach.v1"],
                "pair": ["moltnet.pair.v1"],
            },
            "capabilities": {
                "event_stream": "sse",
                "attachment_protocol": "websocket",
                "public_read": False,
                "agent_registration": "disabled",
                "debug_events": True,
                "human_ingress": True,
                "direct_messages": True,
                "message_pagination": "cursor",
                "pairings": False,
            },
            "console": {"can_send_human": True},
        }


async def test_mode_open_advertises_what_it_implies() -> None:
    async with open_test_app(network_config(mode=AuthMode.OPEN, direct_messages=False)) as app:
        capabilities = describe_network(app.context, CALLERS["anonymous"]).capabilities
        assert capabilities.public_read
        assert capabilities.agent_registration == Registration.OPEN
        assert not capabilities.direct_messages


@pytest.mark.parametrize(
    ("caller", "expected"),
    [
        ("anonymous", False),
        ("agent alpha", False),
        ("write for alpha", False),
        ("observe", False),
        ("admin", False),
        ("write", True),
        ("admin write", True),
    ],
)
@pytest.mark.parametrize("human_ingress", [True, False])
async def test_who_may_send_as_a_human(caller: str, expected: bool, human_ingress: bool) -> None:
    async with open_test_app(network_config(mode=AuthMode.BEARER, human_ingress=human_ingress)) as app:
        console = describe_network(app.context, CALLERS[caller]).console
        assert console is not None
        assert console.can_send_human is (expected and human_ingress)
