"""From a subject of an event to the page that shows it."""

from urllib.parse import quote

import msgspec

from trimtab.store import Subject


class Linked(msgspec.Struct, frozen=True):
    """A thing's kind and name, and where it is shown; ``href`` is empty when no page shows it."""

    kind: str
    text: str
    href: str


def link_of(subject: Subject) -> Linked:
    """Return where a subject of an event is shown."""
    return Linked(subject.kind, subject.id, _href(subject.kind, subject.id))


def version_href(ref: str) -> str:
    """Return the page of a version, from its reference ``late@3``."""
    model, _, number = ref.partition("@")
    return f"/ui/models/{quote(model, safe='')}/{quote(number, safe='')}"


def _href(kind: str, id_: str) -> str:
    name = quote(id_, safe="@")
    match kind:
        case "version" if "@" in id_:
            return version_href(id_)
        case "model":
            return f"/ui/models/{name}"
        case "source":
            return f"/ui/data/{name}"
        case "run":
            return f"/ui/runs/{name}"
        case "pipeline-run" | "pipeline_run":
            return f"/ui/pipelines/{name}"
        case "endpoint":
            return f"/ui/endpoints/{name}"
        case "view" | "feature-view" | "features":
            return f"/ui/features/{name}"
        case _:
            return f"/ui/audit?about={quote(kind, safe='')}:{name}"
