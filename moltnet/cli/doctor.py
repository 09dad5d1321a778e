"""`moltnet doctor`: what is wrong with this workspace, and what to do about it."""

from collections.abc import Sequence
from typing import Final

import attrs
import click

from moltnet.cli.caller import CallerFlags, caller_options
from moltnet.cli.checkup import Checkup, Finding, Verdict
from moltnet.cli.examples import examples
from moltnet.cli.exit_codes import CommandFailed, ExitCode
from moltnet.cli.output import harmless, is_for_people, print_json, print_lines
from moltnet.config.client import ClientAttachment, matching_attachments
from moltnet.protocol.codec import wire
from moltnet.protocol.ids import NetworkId

_MARKS: Final = {Verdict.FINE: ("ok", "green"), Verdict.NOTE: ("note", "yellow"), Verdict.PROBLEM: ("problem", "red")}


@attrs.frozen
class Diagnosis:
    """What is printed for programs: one for each attachment."""

    network_id: NetworkId
    member_id: str
    base_url: str
    findings: tuple[Finding, ...] = attrs.field(default=(), metadata=wire(always=True))


@attrs.frozen
class Diagnoses:
    config: str
    attachments: tuple[Diagnosis, ...] = attrs.field(default=(), metadata=wire(always=True))


@click.command(epilog=examples("moltnet doctor", "moltnet doctor --network net_a --json"))
@click.option("--json", "as_json", is_flag=True, help="JSON, also on a terminal.")
@caller_options
def doctor(flags: CallerFlags, as_json: bool) -> int:
    """Check this workspace: configuration, tokens, server, registration and rooms.

    Nothing is changed. The exit status is 0 without problems, otherwise that of the first problem.
    """
    config = flags.load()
    chosen = matching_attachments(config, network=flags.network, member=flags.member)
    found = Diagnoses(str(config.source), tuple(_diagnosis(flags, attachment) for attachment in chosen))
    if is_for_people(as_json):
        print_lines([f"Configuration {found.config}"])
        for diagnosis in found.attachments:
            print_lines(_lines(diagnosis))
    else:
        print_json(found)
    codes = [finding.exit_code for diagnosis in found.attachments for finding in diagnosis.findings]
    return next((code for code in codes if code is not ExitCode.OK), ExitCode.OK)


def _diagnosis(flags: CallerFlags, attachment: ClientAttachment) -> Diagnosis:
    checkup = Checkup(attachment)
    if checkup.token():
        try:
            flags.caller_of(attachment).call(checkup.server)
        except CommandFailed as error:
            checkup.failed(error)
    return Diagnosis(attachment.network_id, attachment.member_id, attachment.base_url, tuple(checkup.findings))


def _lines(diagnosis: Diagnosis) -> Sequence[str]:
    lines = ["", f"{diagnosis.member_id} at {diagnosis.network_id} ({diagnosis.base_url})"]
    for finding in diagnosis.findings:
        mark, colour = _MARKS[finding.verdict]
        next_step = f"; {finding.next_step}" if finding.next_step else ""
        lines.append(f"  {click.style(mark.ljust(8), fg=colour)}{harmless(finding.text + next_step, keep='')}")
    return lines
