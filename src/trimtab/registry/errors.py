"""What can go wrong on the way from a trained model to a released one."""

from trimtab.kernel import Conflict, Invalid, NotFound, Refused


class NameNotUsable(Invalid):
    """A model, an alias or a reference has a form that cannot name one thing."""

    code = "registry.name-not-usable"
    default_why = "References look like late@3, late@champion or late."
    default_next = "trimtab get models"


class NotRegistrable(Invalid):
    """What a version would be bound to is missing or does not fit together."""

    code = "registry.not-registrable"
    default_why = "A version is bound to exact bytes: every part has a digest, and its evaluation is of the same bytes."
    default_next = "train and evaluate again, then register what came out"


class ModelMissing(NotFound):
    code = "registry.model-missing"
    default_why = "Models come into being with their first version."
    default_next = "trimtab get models"


class VersionMissing(NotFound, KeyError):
    """A model has no version of this number or alias. Also a ``KeyError``, as Python expects of a missing item."""

    __str__ = Exception.__str__  # a KeyError shows itself in quotation marks
    code = "registry.version-missing"
    default_why = "The model has the versions {versions} and the aliases {aliases}."
    default_next = "trimtab get models {model}"


class ReleaseMissing(NotFound):
    code = "registry.release-missing"
    default_why = "Releases are issued for approved versions."
    default_next = "trimtab get models"


class WrongStatus(Conflict):
    """The version is not in a state that allows this."""

    code = "registry.wrong-status"
    default_why = "A candidate is approved or rejected once; what is over stays over."
    default_next = "trimtab get models {model}"


class GateFailed(Refused):
    """The version did not pass its gate, and nobody has said why it should be approved all the same."""

    code = "registry.gate-failed"
    default_why = "{reason}"
    default_next = "trimtab approve {version} --because '...' --override 'why the gate does not count here'"


class AuthorApproves(Refused):
    """The policy asks for two persons, and the one who would approve is the author."""

    code = "registry.author-approves"
    default_why = "Its policy says tt.by(...).other_than_author(), and {who} {did}."
    default_next = "ask somebody else to decide: trimtab approve {version} --because '...'"


class NotApproved(Refused):
    """The version has no approval that holds."""

    code = "registry.not-approved"
    default_why = "{reason}"
    default_next = "trimtab approve {version} --because '...'"


class ApprovalVoid(Refused):
    """What was approved is not what is there now."""

    code = "registry.approval-void"
    default_why = "{reason}"
    default_next = "trimtab verify, then register and approve a new version"


class ReleaseRefused(Refused):
    """A release that is not signed by a key of this home, was revoked, or covers other bytes."""

    code = "registry.release-refused"
    default_next = "trimtab get models {model}"


class InUse(Refused):
    """The version is the champion: it answers people now."""

    code = "registry.in-use"
    default_why = "The champion answers requests; without it they would fail."
    default_next = "serve another version first: trimtab serve {model}@NUMBER"
