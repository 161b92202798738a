"""What one command line works with: the settings, the opened store, who acts."""

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from trimtab.kernel import Actor, Setting, Settings, load, this_user

if TYPE_CHECKING:
    from trimtab.store import Store


class Session:
    """The settings with what the command line says over them, and the store when a verb first needs it."""

    def __init__(self) -> None:
        self.overrides: dict[str, str] = {}
        self.code_of_fault = 1
        """What the command ends with when the program itself fails."""

    @cached_property
    def _loaded(self) -> tuple[Settings, list[Setting]]:
        settings, origins = load()
        shown = [
            Setting(s.name, self.overrides[s.name], f"option --{s.name}") if s.name in self.overrides else s
            for s in origins
        ]
        return msgspec.structs.replace(settings, **self.overrides), shown

    @property
    def settings(self) -> Settings:
        return self._loaded[0]

    @property
    def origins(self) -> list[Setting]:
        return self._loaded[1]

    @cached_property
    def store(self) -> "Store":
        from trimtab.store import open_store

        return open_store(self.settings)

    @property
    def actor(self) -> Actor:
        return this_user()

    def override(self, name: str, value: str) -> None:
        self.overrides[name] = value
        self.__dict__.pop("_loaded", None)

    def project_file(self, file: str | None) -> Path:
        """Return the project file that was named, or the one of the settings."""
        return Path(file or self.settings.project)

    def close(self) -> None:
        if "store" in self.__dict__:
            self.store.close()


def common_options(command: click.Command) -> click.Command:
    """Give a command the options that every verb takes, before or after the verb."""
    if any(parameter.name == "home" for parameter in command.params):
        return command

    def take(ctx: click.Context, parameter: click.Parameter, value: str | None) -> None:
        if value is not None and parameter.name:
            ctx.ensure_object(Session).override(parameter.name, value)

    for name, metavar, text in (
        ("home", "FOLDER", "Folder of the embedded stores (.trimtab)."),
        ("clock", "TIME", "Live at this time instead of now: 2013-03-01."),
    ):
        option = click.Option([f"--{name}"], metavar=metavar, help=text, expose_value=False, callback=take)
        command.params.append(option)
    if isinstance(command, click.Group) and command.name != "trimtab":
        for sub in command.commands.values():
            common_options(sub)
    return command


def because_option(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--because", default="", metavar="REASON", help="Why; it stands in the ledger.")(function)


pass_session = click.make_pass_decorator(Session, ensure=True)
