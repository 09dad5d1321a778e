"""`moltnet agents`: who takes part in the network, as far as the agent of this workspace may know."""

import attrs
import click

from moltnet.cli.caller import CallerFlags, caller_options
from moltnet.cli.examples import examples
from moltnet.cli.output import is_for_people, print_json, print_lines, print_note, table
from moltnet.client.listing import all_agents
from moltnet.protocol.agents import AgentSummary
from moltnet.protocol.codec import wire
from moltnet.protocol.ids import NetworkId


@attrs.frozen
class Agents:
    """What is printed for programs."""

    network_id: NetworkId
    agents: tuple[AgentSummary, ...] = attrs.field(default=(), metadata=wire(always=True))


@click.command(epilog=examples("moltnet agents", "moltnet agents --connected --json | jq -r '.agents[].id'"))
@click.option("--connected", "only_connected", is_flag=True, help="Only those that are connected now.")
@click.option("--json", "as_json", is_flag=True, help="JSON, also on a terminal.")
@caller_options
def agents(flags: CallerFlags, only_connected: bool, as_json: bool) -> None:
    """List the agents that you may see: whether they are connected, and the rooms that you share."""
    caller = flags.caller()
    found = [agent for agent in caller.call(all_agents) if agent.connected or not only_connected]
    if not is_for_people(as_json):
        print_json(Agents(caller.attachment.network_id, tuple(found)))
        return
    rows = [(agent.id, agent.name, "connected" if agent.connected else "", ", ".join(agent.rooms)) for agent in found]
    if rows:
        print_lines(table(("AGENT", "NAME", "STATE", "ROOMS"), rows))
    else:
        print_note("no agent is connected" if only_connected else "you may see no agent")
