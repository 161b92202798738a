"""What one command line works with: the settings, the project that is asked, who acts."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import click
import msgspec

from trimtab.kernel import Actor, Refused, Setting, Settings, TrimtabError, load, this_user

if TYPE_CHECKING:
    from trimtab.client import ServerProject, StoreProject
    from trimtab.store import Store

P = ParamSpec("P")
T = TypeVar("T")


class Session:
    """The settings with what the command line says over them, and the project when a verb first needs it."""

    def __init__(self) -> None:
        self.overrides: dict[str, str] = {}
        self.code_of_fault = 1
        """What the command ends with when the program itself fails."""

    @cached_property
    def _loaded(self) -> tuple[Settings, list[Setting]]:
        settings, origins = load()
        shown = [
            Setting(s.name, self.overrides[s.name], f"option --{'home' if s.name == 'server' else s.name}")
            if s.name in self.overrides
            else s
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
    def project(self) -> "StoreProject | ServerProject":
        """The project that is asked: a server's, where the settings name one, or that of the home."""
        from trimtab.client import ServerProject, StoreProject
        from trimtab.store import server_at

        if self.settings.server:
            return ServerProject(server_at(self.settings.server, token=self.settings.token))
        return StoreProject(self.store)

    def ask(self, question: "Callable[Concatenate[Store, P], T]", *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a function of a room returns for this project, here or at the server."""
        return self.project.ask(question, *args, **kwargs)

    @cached_property
    def store(self) -> "Store":
        """The store of the home, for what is done beside it. Raises ``NoProject``, and ``Refused`` for a server's."""
        from trimtab.store import existing_store

        self.check_beside_store()
        return existing_store(self.settings)

    def begin(self) -> "Store":
        """Open the store, and make the home the first time: for the verbs that begin a project."""
        from trimtab.store import open_store

        self.check_beside_store()
        if "store" not in self.__dict__:
            self.__dict__["store"] = open_store(self.settings)
        return self.store

    @contextmanager
    def looking(self) -> "Iterator[Store]":
        """Yield the store, or where there is no project yet an empty one that leaves nothing behind."""
        from trimtab.store import has_project, open_store

        self.check_beside_store()
        if "store" in self.__dict__ or has_project(self.settings):
            yield self.store
            return
        with tempfile.TemporaryDirectory(prefix="trimtab-") as home:
            settings = msgspec.structs.replace(self.settings, home=home, database="")
            with closing(open_store(settings)) as store:
                yield store

    def check_beside_store(self) -> None:
        """Raise ``Refused`` when the settings name a server, for a verb that works on the machine of the store."""
        if self.settings.server:
            verb = click.get_current_context().command_path
            raise Refused(
                f"{verb!r} works beside the store, and the settings name a server",
                where="setting server",
                why="It reads files and runs code on the machine of the store, which no server does for a caller.",
                next=f"type {verb!r} where the server runs; or unset TRIMTAB_SERVER, or name a home: --home .trimtab",
            )

    @property
    def actor(self) -> Actor:
        return this_user()

    @property
    def who(self) -> Actor:
        """Who acts in the record: this user, or whom the server takes the caller for."""
        from trimtab.client import ServerProject
        from trimtab.server import Me

        project = self.project
        return project.server.get(Me, "me").actor if isinstance(project, ServerProject) else self.actor

    def override(self, name: str, value: str) -> None:
        self.overrides[name] = value
        if name == "home":
            self.overrides["server"] = ""  # a home that is typed is meant, whatever the environment names
        self.__dict__.pop("_loaded", None)

    def project_file(self, file: str | None) -> Path:
        """Return the project file that was named, or the one of the settings."""
        return Path(file or self.settings.project)

    def refused(self, error: TrimtabError, words: Sequence[str]) -> None:
        """Count that this command line was refused something, as a server counts it of its callers."""
        if "store" not in self.__dict__:
            return
        from trimtab.server import count_refusal

        about = " ".join(word for word in words[1:2] if not word.startswith("-"))
        with suppress(TrimtabError):  # the refusal itself is what there is to tell
            count_refusal(self.store, error, actor=str(self.actor), asked=f"trimtab {words[0]}", about=about)

    def close(self) -> None:
        for name in ("store", "project"):
            if name in self.__dict__:
                self.__dict__[name].close()


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
