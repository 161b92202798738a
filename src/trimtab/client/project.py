"""A project, here or elsewhere: ``project.ask(get_model, "late")`` asks its store, or the server that has it."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from trimtab.kernel import Refused, Remote, Settings
from trimtab.store import Store, existing_store, server_at

P = ParamSpec("P")
T = TypeVar("T")
Question = Callable[Concatenate[Store, P], T]
"""A function that answers from a store, with what else it takes."""

_OVER_HTTP: dict[Callable[..., Any], Callable[..., Any]] = {}


class Project(Protocol):
    """Answers questions, and does what it is asked to; ``actor`` counts only in a store, a server knows who asks."""

    def ask(self, question: Callable[Concatenate[Store, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what the question's own function returns. Raises what that raises, and ``ServerUnreachable``."""
        ...

    def close(self) -> None: ...


class StoreProject:
    """The project of an opened store."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def ask(self, question: Callable[Concatenate[Store, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        return question(self.store, *args, **kwargs)

    def close(self) -> None:
        self.store.close()


class ServerProject:
    """The project that a server serves."""

    def __init__(self, server: Remote) -> None:
        self.server = server

    def ask(self, question: Callable[Concatenate[Store, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        answer: T = _over_http(question)(self.server, *args, **kwargs)
        return answer

    def close(self) -> None:
        self.server.close()


def project_of(settings: Settings) -> StoreProject | ServerProject:
    """Return the project that the settings name: a server's, or that of a home that is there. Raises ``NoProject``."""
    if settings.server:
        return ServerProject(server_at(settings.server, token=settings.token))
    return StoreProject(existing_store(settings))


def answers(
    question: Callable[Concatenate[Store, P], T],
) -> Callable[[Callable[Concatenate[Remote, P], T]], Callable[Concatenate[Remote, P], T]]:
    """Say how a server is asked a question: by a function of the same parameters and the same answer."""

    def note(over_http: Callable[Concatenate[Remote, P], T]) -> Callable[Concatenate[Remote, P], T]:
        _OVER_HTTP[question] = over_http
        return over_http

    return note


def _over_http(question: Callable[..., T]) -> Callable[..., T]:
    """Return how a server is asked. Raises ``Refused`` for what only the machine of the store can do."""
    import_module(f"trimtab.client.{question.__module__.split('.')[1]}")
    if question not in _OVER_HTTP:
        raise Refused(
            f"a server is not asked for {question.__name__.replace('_', ' ')}",
            where="setting server",
            why="It works on files of the machine where the store is.",
            next="do it there; or unset TRIMTAB_SERVER to work with the store of this folder",
        )
    return _OVER_HTTP[question]
