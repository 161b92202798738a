"""The mistakes a declaration can hold. Each is ``Invalid`` (or ``NotFound``) and names the user's file and line."""

from trimtab.kernel import Invalid, NotFound


class BadContract(Invalid):
    """A contract's fields do not fit together."""

    code = "declare.contract"


class BadPromise(Invalid):
    """A promise about a field that no data could keep, or that says nothing."""

    code = "declare.promise"


class UnknownField(Invalid, AttributeError):
    """A contract has no field of this name. Also an ``AttributeError``, as Python expects of a missing attribute."""

    code = "declare.unknown-field"


class UnknownWord(Invalid, AttributeError):
    """Trimtab has no word, metric or time part of this name."""

    code = "declare.unknown-word"


class BadColumn(Invalid):
    """A column expression that has no meaning."""

    code = "declare.column"


class NotYesOrNo(Invalid):
    """An expression was asked for its truth: by ``and``, ``or``, ``not``, ``if`` or a chained comparison."""

    code = "declare.not-yes-or-no"


class BadText(Invalid):
    """An owner or a description that is no text, or too long to be shown."""

    code = "declare.text"


class BadDuration(Invalid):
    """A text that is not a duration, a span of time or a frequency."""

    code = "declare.duration"


class BadSource(Invalid):
    """A source that cannot be read as it is declared."""

    code = "declare.source"


class BadView(Invalid):
    """A feature view whose parts do not fit together."""

    code = "declare.features"


class BadModel(Invalid):
    """A model whose function, label or spans do not fit together."""

    code = "declare.model"


class BadPolicy(Invalid):
    """A condition that cannot be judged where it stands."""

    code = "declare.policy"


class BadRollout(Invalid):
    """A rollout whose stages are out of order."""

    code = "declare.rollout"


class BadProject(Invalid):
    """A project file that cannot be loaded, or whose declarations do not fit together."""

    code = "declare.project"


class ProjectNotFound(NotFound):
    """There is no project file at a path."""

    code = "declare.project-not-found"
