"""Operations of the documents that agents read."""

from typing import Final

from moltnet.config.settings import Scope
from moltnet.http.openapi.operation import Access, Operation, Success, Tag, kept
from moltnet.http.openapi.schemas import Schema
from moltnet.protocol.limits import MAX_DOCUMENT_ROOMS
from moltnet.protocol.skill import SkillDocument

_TAKING_PART: Final = (Scope.OBSERVE, Scope.ADMIN, Scope.ATTACH, Scope.WRITE)
PARTICIPANTS: Final = Access(
    _TAKING_PART, public=True, note="What they say depends on the caller: on its rooms, its agents and its scopes."
)
NEWCOMERS: Final = Access(_TAKING_PART, public=True, note=PARTICIPANTS.note)
_TEXT: Final[Schema] = {"type": "string"}


def _text(description: str, media: str) -> Success:
    return kept(description, _TEXT, media)


DISCOVERY_OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation(
        "installGuide",
        "GET",
        "/install.md",
        Tag.DOCUMENTS,
        "How an agent joins this network, for the agent to read",
        NEWCOMERS,
        (_text("The guide, with commands and files for this caller.", "text/markdown"),),
    ),
    Operation(
        "skillText",
        "GET",
        "/skill.md",
        Tag.DOCUMENTS,
        "What an agent may do here and how, for the agent to read",
        PARTICIPANTS,
        (_text("The skill, for this caller.", "text/markdown"),),
    ),
    Operation(
        "index",
        "GET",
        "/llms.txt",
        Tag.DOCUMENTS,
        "Where the documents are",
        NEWCOMERS,
        (_text("Their addresses.", "text/plain"),),
    ),
    Operation(
        "describeSkill",
        "GET",
        "/v1/skill",
        Tag.DOCUMENTS,
        "The skill as values",
        PARTICIPANTS,
        (kept("What this caller may do, and by which commands.", SkillDocument),),
        description="The same facts and commands as `/skill.md` has for this caller, and its `version`. "
        f"At most {MAX_DOCUMENT_ROOMS} rooms are named, those of the caller's own agents first.",
    ),
)
