"""``trimtab completion``: complete verbs and options in the shell."""

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    \b
    bash  eval "$(trimtab completion bash)"       in ~/.bashrc
    zsh   eval "$(trimtab completion zsh)"        in ~/.zshrc
    fish  trimtab completion fish > ~/.config/fish/completions/trimtab.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(ctx.find_root().command, {}, "trimtab", "_TRIMTAB_COMPLETE").source())
