"""Every operation of the HTTP API, one entry each: a new route takes a new entry, and a test finds what is missing."""

from typing import Final

from moltnet.http.openapi.approval_operations import APPROVAL_OPERATIONS
from moltnet.http.openapi.conversation_operations import CONVERSATION_OPERATIONS
from moltnet.http.openapi.credential_operations import CREDENTIAL_OPERATIONS
from moltnet.http.openapi.discovery_operations import DISCOVERY_OPERATIONS
from moltnet.http.openapi.event_operations import EVENT_OPERATIONS
from moltnet.http.openapi.network_operations import NETWORK_OPERATIONS
from moltnet.http.openapi.operation import Operation, Tag
from moltnet.http.openapi.relay_operations import RELAY_OPERATIONS
from moltnet.http.openapi.search_operations import SEARCH_OPERATIONS
from moltnet.http.openapi.service_operations import SERVICE_OPERATIONS
from moltnet.http.openapi.session_operations import SESSION_OPERATIONS
from moltnet.http.openapi.switch_operations import SWITCH_OPERATIONS

_CHAPTERS: Final = {tag: number for number, tag in enumerate(Tag)}
OPERATIONS: Final[tuple[Operation, ...]] = tuple(
    sorted(
        (
            *CONVERSATION_OPERATIONS,
            *NETWORK_OPERATIONS,
            *EVENT_OPERATIONS,
            *SEARCH_OPERATIONS,
            *SWITCH_OPERATIONS,
            *APPROVAL_OPERATIONS,
            *RELAY_OPERATIONS,
            *CREDENTIAL_OPERATIONS,
            *SESSION_OPERATIONS,
            *DISCOVERY_OPERATIONS,
            *SERVICE_OPERATIONS,
        ),
        key=lambda operation: _CHAPTERS[operation.tag],
    )
)
