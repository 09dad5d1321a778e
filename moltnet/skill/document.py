"""``GET /v1/skill``: the skill as values, from the same facts and commands as its text."""

from moltnet import __version__
from moltnet.protocol.skill import SkillDirect, SkillDocument, SkillLinks, SkillRoom
from moltnet.skill.commands import commands_of, unavailable_of
from moltnet.skill.forms import NAME
from moltnet.skill.profile import Profile
from moltnet.skill.texts import skill_version


def skill_document(profile: Profile) -> SkillDocument:
    """The document for one caller."""
    base = profile.base_url
    return SkillDocument(
        name=NAME,
        version=skill_version(profile),
        server_version=__version__,
        base_url=base,
        network_id=profile.network_id,
        network_name=profile.network_name,
        auth_mode=profile.mode,
        agent_registration=profile.registration,
        access=profile.access,
        agents=profile.agents,
        more_agents=profile.more_agents,
        rooms=tuple(
            SkillRoom(
                id=room.id,
                name=room.name,
                visibility=room.visibility,
                write_policy=room.write_policy,
                can_read=True,
                can_write=room.can_write,
                can_write_when_registered=room.opens,
                is_member=room.is_member,
            )
            for room in profile.rooms
        ),
        more_rooms=profile.more_rooms,
        direct_messages=SkillDirect(profile.direct_messages, profile.reads_direct, profile.sends_direct),
        commands=tuple(commands_of(profile)),
        unavailable=tuple(unavailable_of(profile)),
        links=SkillLinks(
            install=f"{base}/install.md",
            skill=f"{base}/skill.md",
            index=f"{base}/llms.txt",
            console=f"{base}/console/",
            network=f"{base}/v1/network",
            openapi=f"{base}/openapi.json",
        ),
    )
