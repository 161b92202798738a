"""The command ``trimtab``: finds the verb, and turns errors into four parts and an exit code."""

import errno
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

import click

from trimtab.cli.errors import exit_code_of_usage, print_error, print_fault, told
from trimtab.cli.listing import VERBS
from trimtab.cli.session import Session, common_options
from trimtab.kernel import VERSION, Invalid, Refused, TrimtabError, Unavailable

EPILOG = """\b
Exit codes: 0 done; 1 an error, told in four parts on stderr; 2 a mistake in the command line.
  plan    0 nothing to do, 2 changes, 1 any error
  verify  0 intact, 1 tampered, 2 not provable, 3 a mistake in the command line
"""


_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
READ_ENOUGH = 141
"""What a shell sees of a program that the signal SIGPIPE ended; 0 or 1 would say of `verify` what nobody found out."""


class _ReadEnough(Exception):
    """Whoever read our output has seen enough: ``trimtab get runs | head``."""


class Verbs(click.Group):
    """Knows every verb's name and one line of help; imports a verb's module when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(VERBS)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise _ReadEnough from None  # click would take it for a failure

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        verb = VERBS.get(cmd_name)
        if verb is None:
            return None
        module = import_module(f"trimtab.cli.verbs.{verb.module}")
        command: click.Command = getattr(module, cmd_name.replace("import", "import_"))
        return common_options(command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        # The lines come from the list, so that help imports no verb.
        for group in dict.fromkeys(verb.group for verb in VERBS.values()):
            with formatter.section(group):
                formatter.write_dl([(name, verb.help) for name, verb in VERBS.items() if verb.group == group])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            from difflib import get_close_matches

            close = get_close_matches(args[0], VERBS, n=1)
            hint = f". Did you mean {close[0]!r}?" if close else ""
            ctx.fail(f"There is no verb {args[0][:80]!r}{hint}")
        return super().resolve_command(ctx, args)


@click.group(
    cls=Verbs, invoke_without_command=True, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(VERSION, message="trimtab %(version)s")
@click.pass_context
def trimtab(ctx: click.Context, /) -> Any:
    """The whole life of a machine learning model: from what its data promises to decisions that can be explained.

    Without a verb: how things stand, and what to do next.
    """
    ctx.ensure_object(Session)
    if ctx.invoked_subcommand is None:
        status = ctx.command.get_command(ctx, "status")  # type: ignore[attr-defined]
        return ctx.invoke(status)
    return None


common_options(trimtab)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command line and exit with its code."""
    sys.exit(run(sys.argv[1:] if arguments is None else list(arguments)))


def run(arguments: list[str]) -> int:
    """Run one command line; return its exit code."""
    session = Session()
    try:
        _check_text(arguments)
        try:
            code = trimtab.main(arguments, prog_name="trimtab", standalone_mode=False, obj=session)
        except Refused as error:
            session.refused(error, arguments)
            raise
        finally:
            session.close()
        return code if isinstance(code, int) else 0
    except TrimtabError as error:
        print_error(error)
        return 1
    except click.UsageError as error:
        print_error(told(error))
        return exit_code_of_usage(error)
    except click.ClickException as error:
        error.show()
        return 1
    except (click.Abort, KeyboardInterrupt):
        click.echo("Stopped.", err=True)
        return 130
    except _ReadEnough:
        # What is left in the buffer goes nowhere, instead of into an error when the interpreter ends.
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READ_ENOUGH
    except Exception as fault:  # noqa: BLE001  # the edge: our own mistake, told without a stack trace
        if isinstance(fault, OSError) and fault.errno in _NO_ROOM:
            print_error(_no_room(fault))
        else:
            print_fault(fault, session)
        return session.code_of_fault


def _no_room(error: OSError) -> Unavailable:
    return Unavailable(
        "what was to be written has no room",
        where=str(error.filename or "output"),
        why=f"The system says: {os.strerror(error.errno or 0)}.",
        next="make room, and repeat it",
    )


def _check_text(arguments: list[str]) -> None:
    """Raise ``Invalid`` for words that are no text: their bytes could be neither kept nor compared."""
    for word in arguments:
        if not word.isprintable() and any("\ud800" <= sign <= "\udfff" for sign in word):
            raise Invalid(
                f"{ascii(word)[:80]} is no text",
                where="command line",
                why=f"Its bytes are not of the encoding that this system uses, {sys.getfilesystemencoding()}.",
                next="type it again",
            )
