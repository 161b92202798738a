"""The one tree of errors. Every error says what happened, where, why, and what to type next.

    TrimtabError
      NotFound      a thing that was named does not exist
      Conflict      the thing exists, but not in a state that allows this
      Invalid       the input is wrong, and will be wrong again
      Refused       the input is right, but a rule or a permission says no
      Unavailable   not now: a service, a lock or a limit is in the way; try again

A room derives its own errors from one of the five and gives each a dotted ``code`` that never changes.
Only the edges (HTTP, CLI) turn an error into a status or an exit code.
"""

from typing import ClassVar


class TrimtabError(Exception):
    """A mistake that a person can understand and act on, in four parts.

    ``what`` happened, ``where`` (file and line, table, route, column), ``why`` it is a mistake, and
    ``next``: what to type or change. ``data`` carries the values that a program may want. A subclass may
    give ``why`` and ``next`` as class attributes, formatted with ``data``; all four are always filled.
    """

    code: ClassVar[str] = "trimtab.error"
    default_why: ClassVar[str] = ""
    default_next: ClassVar[str] = ""

    def __init__(self, what: str, *, where: str, why: str = "", next: str = "", **data: object) -> None:
        self.what = what
        self.where = where
        self.why = why or self.default_why.format_map(data)
        self.next = next or self.default_next.format_map(data)
        self.data = data
        if not (self.what and self.where and self.why and self.next):
            raise TypeError(f"{type(self).__name__} needs what, where, why and next: {self.parts()}")
        super().__init__(f"{self.where}: {self.what}. {self.why} Next: {self.next}")

    def __reduce__(self) -> tuple[object, ...]:
        # Worker processes send their errors home by pickle, which would call __init__ without keywords.
        return (_rebuild, (type(self), self.parts(), self.data))

    def parts(self) -> dict[str, str]:
        """Return the four parts and the code, as the edges print them."""
        return {"code": self.code, "what": self.what, "where": self.where, "why": self.why, "next": self.next}


def error_named(code: str) -> type[TrimtabError] | None:
    """Return the error that has a code, of all that are loaded; None when none has it."""
    kinds = [TrimtabError]
    for kind in kinds:
        if kind.code == code:
            return kind
        kinds += kind.__subclasses__()
    return None


def _rebuild(kind: type[TrimtabError], parts: dict[str, str], data: dict[str, object]) -> TrimtabError:
    return kind(parts["what"], where=parts["where"], why=parts["why"], next=parts["next"], **data)


class NotFound(TrimtabError):
    code = "not-found"


class Conflict(TrimtabError):
    code = "conflict"


class Invalid(TrimtabError):
    code = "invalid"


class Refused(TrimtabError):
    code = "refused"


class Unavailable(TrimtabError):
    code = "unavailable"


class MissingExtra(Unavailable):
    """An optional package is needed and not installed."""

    code = "missing-extra"
    default_why = "It needs the package {package}, which is not part of the core installation."
    default_next = "pip install 'trimtab[{extra}]'"
