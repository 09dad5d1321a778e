"""`moltnet completion`: what makes a shell complete the commands and options of `moltnet`."""

import click
from click.shell_completion import get_completion_class

from moltnet.cli.examples import examples


@click.command(
    epilog=examples(
        'eval "$(moltnet completion bash)"            # in ~/.bashrc',
        'eval "$(moltnet completion zsh)"             # in ~/.zshrc',
        "moltnet completion fish > ~/.config/fish/completions/moltnet.fish",
    )
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script for SHELL."""
    kind = get_completion_class(shell)
    assert kind is not None  # click has all three
    root = ctx.find_root().command
    click.echo(kind(root, {}, "moltnet", "_MOLTNET_COMPLETE").source())
