"""The pages on the service and on the proxy, typed as they stand on a machine of the test's own."""

import json
import re
import shutil
from pathlib import Path

import pytest
from tests.docs.operating.conftest import install_line
from tests.docs.operating.machine import Machine, commands
from tests.docs.operating.tools import tool
from tests.docs.pages import DOCS
from tests.waiting import wait_until

GUIDE = DOCS / "guide" / "operating"
TRIMTAB = "cd /var/lib/trimtab && runuser -u trimtab -- /opt/trimtab/bin/trimtab"
BEARER = '--header "Authorization: Bearer $(cat /etc/trimtab/ops-lead.token)"'
CURL = "curl --silent --show-error --cacert /etc/ssl/trimtab/cert.pem"
AT = "https://trimtab.example.org"


@pytest.mark.timeout(1800)
def test_the_service_and_then_the_proxy(built: Path, opt: Path, tmp_path: Path) -> None:
    for name, package in (("nginx", "nginx-light"), ("openssl", "openssl"), ("systemd-analyze", "systemd")):
        tool(name, package)
    with Machine(tmp_path, opt=opt) as machine:
        shutil.copytree(built, machine.folders["srv"] / "trimtab")
        machine.cwd = "/srv/trimtab"
        for folder in ("lib/nginx", "log/nginx"):  # what the package of nginx brings
            (tmp_path / folder).mkdir()
        with (tmp_path / "etc" / "hosts").open("a") as hosts:
            hosts.write("127.0.0.1 trimtab.example.org\n")
        said = typed(machine, GUIDE / "service.md")
        holds_to_its_folder(machine, said)
        typed(machine, GUIDE / "proxy.md")
        signs_in_over_tls(machine)
        decides_over_tls(machine)
        hears_at_once(machine)
        assert machine.unit.stop() == 0
        assert json.loads(machine.run(f"{TRIMTAB} verify -o json"))["kind"] == "intact"


def typed(machine: Machine, page: Path) -> dict[str, str]:
    """Type every line of a page; return what each printed."""
    said = {}
    for line in commands(page):
        if line == "python3 -m venv /opt/trimtab" or " -m venv" in line or "pip install" in line:
            # It is done already, once for all tests, by the line of the Dockerfile: these are its very words.
            assert line.replace("dist/*.whl", "*.whl") in install_line()
            continue
        said[line] = machine.type(line)
    return said


def holds_to_its_folder(machine: Machine, said: dict[str, str]) -> None:
    """The running service is who the unit says, with the rights that the unit says, and has its model."""
    assert json.loads(next(text for line, text in said.items() if "/readyz" in line))["status"] == "ok"
    assert "trimtab why" in next(text for line, text in said.items() if "predict" in line)
    address = json.loads(machine.run("cat /var/lib/trimtab/.trimtab/server.json"))
    status = machine.run(f"cat /proc/{address['pid']}/status")
    assert re.search(r"^Uid:\t(\d+)\t\1\t\1\t\1$", status, re.MULTILINE)
    assert machine.run(f"stat --format=%U /proc/{address['pid']}").strip() == "trimtab"
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert re.search(rf"^{name}:\t0+$", status, re.MULTILINE), name
    assert "NoNewPrivs:\t1" in status
    mounts = machine.run(f"cat /proc/{address['pid']}/mountinfo")
    writable = {line.split()[4] for line in mounts.splitlines() if line.split()[5].startswith("rw")}
    assert {path for path in writable if path.startswith(("/etc", "/opt", "/srv", "/var/lib", "/var/log"))} == {
        "/var/lib/trimtab"
    }
    assert "/" not in writable
    assert machine.run("stat --format=%a /var/lib/trimtab").strip() == "700"
    others = machine.run("find /var/lib/trimtab/.trimtab/keys -type f -not -name '*.pub' -perm /077")
    assert others == "", f"keys that others may read: {others}"


def signs_in_over_tls(machine: Machine) -> None:
    """A browser signs in through the proxy; its cookie is for TLS only, and other sites' pages change nothing."""
    token = machine.run("cat /etc/trimtab/ops-lead.token").strip()
    clear = machine.run("curl --silent --include http://trimtab.example.org/ui")
    assert "308" in clear.splitlines()[0]
    assert f"ocation: {AT}/ui" in clear
    assert machine.run(f"{CURL} --output /dev/null --write-out '%{{http_code}}' {AT}/api/v1/me") == "401"
    form = f"--data-urlencode token={token} --data-urlencode back=/ui --cookie-jar /tmp/jar"
    for origin, expected in (("https://elsewhere.example", "403"), (AT, "303")):
        answer = machine.run(f"{CURL} --include --header 'Origin: {origin}' {form} {AT}/ui/sign-in")
        assert f" {expected}" in answer.splitlines()[0], answer
    assert re.search(r"set-cookie: trimtab_\w+=.*; HttpOnly; SameSite=Strict;.*; Secure", answer, re.IGNORECASE), answer
    assert "ops-lead" in machine.run(f"{CURL} --fail --cookie /tmp/jar {AT}/ui")
    assert AT in machine.run(f"{CURL} --fail --cookie /tmp/jar {AT}/ui/api")
    foreign = machine.run(f"{CURL} --header 'Host: other.example' {AT}/api/v1/me")
    assert json.loads(foreign)["code"] == "server.foreign-host"


def decides_over_tls(machine: Machine) -> None:
    """Predictions, one after the other over kept connections, and bodies beyond nginx's own limit."""
    headers = f'{BEARER} --header "Content-Type: application/json"'
    described = json.loads(machine.run(f"{CURL} --fail {headers} {AT}/v2/models/late"))
    body = {"inputs": [_value(one, rows=1) for one in described["inputs"]]}
    (machine.folders["srv"] / "row.json").write_text(json.dumps(body))
    answered = json.loads(machine.run(f"{CURL} --fail {headers} --data @/srv/row.json {AT}/v2/models/late/infer"))
    decision = answered["parameters"]["decision_ids"]
    assert json.loads(machine.run(f"{CURL} --fail {headers} {AT}/api/v1/decisions/{decision}"))
    many = f" --output /dev/null {AT}/v2/models/late/infer" * 40
    codes = machine.run(f"{CURL} --write-out '%{{http_code}} ' {headers} --data @/srv/row.json{many}")
    assert codes.split() == ["200"] * 40
    (machine.folders["srv"] / "long.json").write_text(" " * (3 << 20) + json.dumps(body))
    long = machine.run(f"{CURL} {headers} --data @/srv/long.json {AT}/api/v1/tokens")
    assert json.loads(long)["code"] == "server.too-large", long


def _value(described: dict[str, object], *, rows: int) -> dict[str, object]:
    values = {"BYTES": "north", "FP64": 1.0, "FP32": 1.0, "INT64": 1, "BOOL": True}
    value = values[str(described["datatype"])]
    return {"name": described["name"], "datatype": described["datatype"], "shape": [rows], "data": [value] * rows}


def hears_at_once(machine: Machine) -> None:
    """The live stream comes through as it is told, not when nginx has gathered enough of it."""
    heard = machine.folders["srv"] / "heard"
    listening = machine.start(f"exec {CURL} --no-buffer {BEARER} {AT}/api/v1/live > /srv/heard")
    try:
        wait_until(lambda: heard.exists() and b"data: " in heard.read_bytes(), "the first word came", alive=listening)
        before = heard.read_bytes()
        machine.run(f"{TRIMTAB} token create another --because 'an event'")
        wait_until(lambda: len(heard.read_bytes()) > len(before), "the event came through", alive=listening)
    finally:
        listening.kill()
        listening.wait()
