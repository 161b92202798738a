"""Read what a browser's form sends."""

from urllib.parse import parse_qsl

from trimtab.kernel import Invalid
from trimtab.store import check_reason


def form_of(body: bytes) -> dict[str, str]:
    """Return the fields of a form, their ends trimmed. Raises ``Invalid`` for a body that is none."""
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=bool(body), max_num_fields=200)
    except (UnicodeDecodeError, ValueError):
        raise Invalid(
            "the form cannot be read",
            where="form",
            why="It is not what a browser sends.",
            next="send it from the page",
        ) from None
    # Browsers end lines of a text area with a carriage return, which has no place in a reason.
    return {name: value.replace("\r\n", "\n").strip() for name, value in pairs}


def reason_in(form: dict[str, str]) -> str:
    """Return the reason that a form gives. Raises ``ReasonMissing`` for one without."""
    return check_reason(form.get("because", ""), "form")
