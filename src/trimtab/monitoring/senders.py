"""The ways to a person: a signed webhook, an e-mail, a command of the user's own."""

import base64
import hashlib
import hmac
import http.client
import shlex
import smtplib
import ssl
import subprocess
import urllib.error
import urllib.request
from datetime import datetime
from email.message import EmailMessage
from typing import Any
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import msgspec

from trimtab.kernel import VERSION, Unavailable
from trimtab.store import SigningKey

TIMEOUT_S = 10.0
COMMAND_TIMEOUT_S = 30.0
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class NotSent(Unavailable):
    """A target did not take an alert."""

    code = "monitoring.not-sent"
    default_why = "Until the target takes it, nobody is told; it is tried again, later each time."
    default_next = "check TRIMTAB_ALERTS_{setting}, and that the target answers"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """An alert goes where the settings say, and nowhere else."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def by_webhook(url: str, body: str, *, secret: str, key: SigningKey, at: datetime) -> None:
    """POST a CloudEvent, signed as Standard Webhooks asks: ``v1a`` with the ledger's key, ``v1`` with the secret.

    Both are over ``{webhook-id}.{webhook-timestamp}.{body}``. Raises ``NotSent`` for anything but a 2xx answer.
    """
    if not url.lower().startswith(("http://", "https://")):
        raise NotSent("the webhook is no web address", where="webhook", setting="WEBHOOK")
    id_ = msgspec.json.decode(body)["id"]
    stamp = str(int(at.timestamp()))
    try:
        signed = signatures(f"{id_}.{stamp}.{body}".encode(), secret=secret, key=key)
    except ValueError:
        raise NotSent("the secret begins with whsec_ and is no base64", where="webhook", setting="SECRET") from None
    headers = {
        "content-type": "application/cloudevents+json; charset=utf-8", "user-agent": f"trimtab/{VERSION}",
        "webhook-id": id_, "webhook-timestamp": stamp, "webhook-signature": signed,
    }  # fmt: skip
    try:
        request = urllib.request.Request(url, body.encode(), headers)  # noqa: S310 - http and https only, see above
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=TIMEOUT_S) as answer:
            answer.read(1)
    except urllib.error.HTTPError as error:
        error.close()
        raise NotSent(f"the webhook answered {error.code}", where="webhook", setting="WEBHOOK") from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        # Not every answer is HTTP, and not every address can be asked.
        why = getattr(error, "reason", None) or type(error).__name__
        raise NotSent(f"the webhook does not answer: {why}", where="webhook", setting="WEBHOOK") from None


def signatures(content: bytes, *, secret: str, key: SigningKey) -> str:
    """Return the signatures of a message, separated by blanks. A secret that begins with ``whsec_`` is base64."""
    found = [f"v1a,{base64.b64encode(key.signature(content)).decode()}"]
    if secret:
        raw = base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()
        found.append(f"v1,{base64.b64encode(hmac.digest(raw, content, hashlib.sha256)).decode()}")
    return " ".join(found)


def by_mail(server: str, to: str, body: str) -> None:
    """Send an alert as an e-mail. ``server`` is ``smtp://user:password@host:port?from=address``, or ``smtps://``.

    The connection is encrypted where the server can; a password is never sent otherwise, but on this machine. Raises
    ``NotSent``.
    """
    try:
        parts = urlsplit(server or "smtp://127.0.0.1:25")
        with _connected(parts) as smtp:
            smtp.send_message(_mail(parts, to, msgspec.json.decode(body)))
    except (smtplib.SMTPException, OSError, ValueError) as error:
        raise NotSent(f"the mail server does not take it: {error}"[:300], where="mail", setting="SMTP") from None


def _connected(parts: SplitResult) -> smtplib.SMTP:
    host = parts.hostname or "127.0.0.1"
    context = ssl.create_default_context()
    if parts.scheme == "smtps":
        smtp: smtplib.SMTP = smtplib.SMTP_SSL(host, parts.port or 465, timeout=TIMEOUT_S, context=context)
    else:
        smtp = smtplib.SMTP(host, parts.port or 25, timeout=TIMEOUT_S)
    try:
        smtp.ehlo()
        encrypted = parts.scheme == "smtps"
        if not encrypted and smtp.has_extn("starttls"):
            smtp.starttls(context=context)
            smtp.ehlo()
            encrypted = True
        if parts.username:
            _log_in(smtp, parts, safe=encrypted or host in _LOOPBACK)
    except BaseException:
        smtp.close()
        raise
    return smtp


def _log_in(smtp: smtplib.SMTP, parts: SplitResult, *, safe: bool) -> None:
    if not safe:
        raise NotSent("the mail server offers no encryption for the password", where="mail", setting="SMTP")
    smtp.login(unquote(parts.username or ""), unquote(parts.password or ""))


def _mail(parts: SplitResult, to: str, event: dict[str, Any]) -> EmailMessage:
    alert = event["data"]
    what = event["type"].rpartition(".")[2]
    mail = EmailMessage()
    subject = f"[trimtab] {alert['endpoint']}: {alert['title']}"
    mail["Subject"] = " ".join((f"Resolved: {subject}" if what == "resolved" else subject).split())[:200]
    mail["From"] = parse_qs(parts.query).get("from", ["trimtab@localhost"])[0]
    mail["To"] = to
    mail["Message-ID"] = f"<{event['id']}@trimtab>"
    lines = [
        alert["title"], "", *alert["lines"], "",
        f"endpoint {alert['endpoint']}, {alert['kind']}, {what} at {event['time']}", f"alert {alert['id']}",
    ]  # fmt: skip
    mail.set_content("\n".join(lines))
    return mail


def by_command(command: str, body: str) -> None:
    """Run a command, without a shell, with the CloudEvent as its input. Raises ``NotSent`` unless it exits 0."""
    try:
        words = shlex.split(command)
        if not words:
            raise NotSent("the command is empty", where="command", setting="COMMAND")
        done = subprocess.run(  # noqa: S603 - the user's own command, from the settings
            words, input=body.encode(), capture_output=True, timeout=COMMAND_TIMEOUT_S, check=False
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise NotSent(
            f"the command cannot be run: {type(error).__name__}", where="command", setting="COMMAND"
        ) from None
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip()[-200:]
        raise NotSent(f"the command exited with {done.returncode}: {said}", where="command", setting="COMMAND")
