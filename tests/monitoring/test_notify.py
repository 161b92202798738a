"""Messages reach real receivers: signed, at least once, tried again later each time, and given up in the end."""

import base64
import hashlib
import hmac
import json
import socket
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiosmtpd.controller import Controller
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from tests.monitoring.served import HOUR, move
from tests.monitoring.test_alerts import settled, sign
from tests.waiting import PATIENCE_S

from trimtab.kernel import Settings, VirtualClock
from trimtab.monitoring import Delivery, deliver, deliveries
from trimtab.monitoring.notify import MOST_TRIES
from trimtab.store import PublicKey, Store, open_store


class Hook:
    """A web server that takes alerts, or does not; it keeps what was sent."""

    def __init__(self) -> None:
        self.answer = 204
        self.got: list[tuple[dict[str, str], bytes]] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                hook.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(hook.answer)
                if hook.answer == 302:
                    self.send_header("location", f"{hook.url}/elsewhere")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    yield made
    made.server.shutdown()
    made.server.server_close()


class Mailbox:
    def __init__(self) -> None:
        self.got: list[Message] = []
        self.refuse = False

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        if self.refuse:
            return "451 try again later"
        self.got.append(message_from_bytes(envelope.content))
        return "250 taken"


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    box = Mailbox()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    controller = Controller(box, hostname="127.0.0.1", port=port, ready_timeout=PATIENCE_S)
    controller.start()
    yield box, port
    controller.stop()


def opened(home: Path, clock: VirtualClock, **settings: str) -> Store:
    return open_store(Settings(home=str(home), **settings), clock=clock)


def only(store: Store, alert: str) -> Delivery:
    (found,) = deliveries(store, alert)
    return found


def test_a_webhook_gets_a_signed_cloud_event(home: Path, clock: VirtualClock, hook: Hook) -> None:
    store = opened(home, clock, alerts_webhook=hook.url, alerts_secret="s3cret")
    (alert,) = settled(store, sign()).raised
    assert deliver(store) == 1
    assert deliver(store) == 0
    ((headers, body),) = hook.got
    event = json.loads(body)
    assert headers["content-type"].startswith("application/cloudevents+json")
    assert (event["specversion"], event["type"]) == ("1.0", "dev.trimtab.alert.raised")
    assert event["source"].endswith("/endpoints/late")
    assert event["data"]["id"] == alert.id
    assert event["data"]["lines"] == ["origin is LGA in 40 %"]

    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    ours, theirs = headers["webhook-signature"].split(" ")
    assert theirs == "v1," + base64.b64encode(hmac.digest(b"s3cret", signed, hashlib.sha256)).decode()
    public = PublicKey.parse(store.keys.public(store.origin) or "")
    key = Ed25519PublicKey.from_public_bytes(public.raw)
    key.verify(base64.b64decode(ours.removeprefix("v1a,")), signed)
    with pytest.raises(InvalidSignature):
        key.verify(base64.b64decode(ours.removeprefix("v1a,")), signed + b" ")
    assert only(store, alert.id).delivered_at == clock.now()

    settled(store)
    deliver(store)
    assert json.loads(hook.got[1][1])["type"] == "dev.trimtab.alert.resolved"
    store.close()


@pytest.mark.parametrize("answer", [500, 404, 302])
def test_what_is_not_taken_is_tried_again_later_each_time(
    home: Path, clock: VirtualClock, hook: Hook, answer: int
) -> None:
    store = opened(home, clock, alerts_webhook=hook.url)
    hook.answer = answer
    (alert,) = settled(store, sign()).raised
    waits = []
    for _ in range(4):
        assert deliver(store) == 0
        assert deliver(store) == 0  # not before its time
        due = only(store, alert.id).due_at
        assert due is not None
        waits.append(due - clock.now())
        clock.advance_to(due)
    assert waits == [timedelta(seconds=30 * 2**i) for i in range(4)]
    assert f"answered {answer}" in only(store, alert.id).failure
    hook.answer = 200
    assert deliver(store) == 1
    assert len(hook.got) == 5
    assert len({json.loads(body)["id"] for _, body in hook.got}) == 1
    done = only(store, alert.id)
    assert (done.attempts, done.due_at, done.failure) == (5, None, "")
    store.close()


def test_a_target_that_never_answers_is_given_up(home: Path, clock: VirtualClock) -> None:
    store = opened(home, clock, alerts_webhook="http://127.0.0.1:9/")
    (alert,) = settled(store, sign()).raised
    for _ in range(MOST_TRIES):
        deliver(store)
        move(store, clock.now() + HOUR)
    given_up = only(store, alert.id)
    assert (given_up.attempts, given_up.due_at, given_up.delivered_at) == (MOST_TRIES, None, None)
    assert "does not answer" in given_up.failure
    store.close()


def test_a_message_that_a_dead_process_had_taken_is_sent_by_another(
    home: Path, clock: VirtualClock, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(home, clock, alerts_webhook=hook.url)
    settled(store, sign())
    with monkeypatch.context() as patch:
        patch.setattr("trimtab.monitoring.notify._send", _killed)
        with pytest.raises(KeyboardInterrupt):
            deliver(store)
    assert deliver(store) == 0  # it is taken
    move(store, clock.now() + timedelta(minutes=2))
    assert deliver(store) == 1
    store.close()


def _killed(*_: Any) -> None:
    raise KeyboardInterrupt


def test_an_email_arrives(home: Path, clock: VirtualClock, mailbox: tuple[Mailbox, int]) -> None:
    box, port = mailbox
    server = f"smtp://127.0.0.1:{port}?from=trimtab@example.org"
    store = opened(home, clock, alerts_mail="ann@example.org,ben@example.org", alerts_smtp=server)
    (alert,) = settled(store, sign(title="temp of late@2\r\nBcc: eve@example.org")).raised
    box.refuse = True
    assert deliver(store) == 0
    assert "try again later" in only(store, alert.id).failure
    box.refuse = False
    move(store, clock.now() + HOUR)
    assert deliver(store) == 1
    (mail,) = box.got
    assert mail["To"] == "ann@example.org,ben@example.org"
    assert mail["From"] == "trimtab@example.org"
    assert mail["Subject"] == "[trimtab] late: temp of late@2 Bcc: eve@example.org"
    assert mail["Bcc"] is None
    assert "origin is LGA in 40 %" in mail.get_payload()
    store.close()


def test_a_mail_server_that_is_away_delays_only_its_own(home: Path, clock: VirtualClock, hook: Hook) -> None:
    store = opened(
        home, clock, alerts_mail="ann@example.org", alerts_smtp="smtp://127.0.0.1:9", alerts_webhook=hook.url
    )
    (alert,) = settled(store, sign()).raised
    assert deliver(store) == 1
    by = {one.target: one for one in deliveries(store, alert.id)}
    assert by["webhook"].delivered_at is not None
    assert by["mail"].delivered_at is None
    store.close()


def test_a_password_is_not_sent_in_the_clear(monkeypatch: pytest.MonkeyPatch, mailbox: tuple[Mailbox, int]) -> None:
    from trimtab.monitoring import senders

    monkeypatch.setattr(senders, "_LOOPBACK", ())
    body = msgspec.json.encode({"id": "1", "type": "a.raised", "time": "", "data": {}}).decode()
    with pytest.raises(senders.NotSent, match="no encryption"):
        senders.by_mail(f"smtp://ann:pw@127.0.0.1:{mailbox[1]}", "ann@example.org", body)


def test_a_command_gets_the_event_on_its_input(home: Path, clock: VirtualClock, tmp_path: Path) -> None:
    script = tmp_path / "tell.py"
    script.write_text(
        "import sys; data = sys.stdin.read(); open(sys.argv[1], 'w').write(data); sys.exit(len(sys.argv) > 2)"
    )
    told = tmp_path / "told.json"
    store = opened(home, clock, alerts_command=f"{sys.executable} {script} '{told}'")
    (alert,) = settled(store, sign()).raised
    assert deliver(store) == 1
    assert json.loads(told.read_text())["data"]["id"] == alert.id
    store.close()


@pytest.mark.parametrize(
    ("url", "secret", "says"),
    [
        ("http://127.0.0.1:{port}/", "", "does not answer"), ("http://127.0.0.1:port/", "", "does not answer"),
        ("http://[alerts/", "", "does not answer"), ("http://127.0.0.1:{port}/a b", "", "does not answer"),
        ("ftp://127.0.0.1/", "", "no web address"), ("http://127.0.0.1:{port}/", "whsec_abc", "no base64"),
    ],
)  # fmt: skip
def test_a_webhook_that_can_never_be_told_delays_only_its_own(
    home: Path, clock: VirtualClock, mailbox: tuple[Mailbox, int], url: str, secret: str, says: str
) -> None:
    box, port = mailbox  # a mail server answers, but not as a web server does
    store = opened(
        home, clock, alerts_webhook=url.format(port=port), alerts_secret=secret, alerts_mail="ann@example.org",
        alerts_smtp=f"smtp://127.0.0.1:{port}",
    )  # fmt: skip
    (alert,) = settled(store, sign()).raised
    assert deliver(store) == 1
    assert len(box.got) == 1
    by = {one.target: one for one in deliveries(store, alert.id)}
    assert says in by["webhook"].failure
    store.close()


@pytest.mark.parametrize(
    ("command", "says"),
    [(" ", "empty"), ("false", "exited with 1"), ("/no/such/program", "FileNotFoundError"), ("'", "ValueError")],
)
def test_a_command_that_fails(home: Path, clock: VirtualClock, command: str, says: str) -> None:
    store = opened(home, clock, alerts_command=command)
    (alert,) = settled(store, sign()).raised
    assert deliver(store) == 0
    assert says in only(store, alert.id).failure
    store.close()


def test_secrets_of_targets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    from trimtab.kernel import load

    environment = {
        "TRIMTAB_ALERTS_SECRET": "s3cret", "TRIMTAB_ALERTS_WEBHOOK": "https://hooks.example.org/T0/s3cret",
        "TRIMTAB_ALERTS_SMTP": "smtp://ann:s3cret@mail.example.org",
    }  # fmt: skip
    _, shown = load(environment=environment)
    assert "s3cret" not in str(shown)
