"""The page on PostgreSQL and S3, typed as it stands, on a cluster and an S3 that hold everybody to their rights."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.core import set_initial_no_auth_action_count
from moto.server import ThreadedMotoServer
from tests.docs.operating.machine import Machine, commands
from tests.docs.operating.tools import tool
from tests.docs.operating.unit import Unit, started
from tests.docs.pages import DOCS, ROOT, blocks

PAGE = DOCS / "guide" / "operating" / "databases.md"
POLICY = (ROOT / "deploy" / "s3" / "policy.json").read_text("utf-8")
PORT = 9000
TRIMTAB = "runuser -u trimtab -- /opt/trimtab/bin/trimtab"


class S3(ThreadedMotoServer):
    """A server that speaks S3 and IAM, inside of a machine."""

    def __init__(self, machine: Machine) -> None:
        super().__init__("127.0.0.1", PORT, verbose=False)
        self._machine = machine

    def _server_entry(self) -> None:
        self._machine.enter_network()
        super()._server_entry()


def ask(service: str, key_id: str = "root", key: str = "root") -> Any:
    return boto3.client(
        service, endpoint_url=f"http://127.0.0.1:{PORT}", region_name="us-east-1", aws_access_key_id=key_id,
        aws_secret_access_key=key,
    )  # fmt: skip


@contextmanager
def bucket(machine: Machine) -> Iterator[None]:
    """Serve the page's bucket; the machine's shell gets a key that has the page's policy and no other right."""
    server = S3(machine)
    server.start()

    def prepare() -> dict[str, str]:
        ask("s3").create_bucket(Bucket="models")
        iam = ask("iam")
        iam.create_user(UserName="trimtab")
        iam.put_user_policy(UserName="trimtab", PolicyName="blobs", PolicyDocument=POLICY)
        made: dict[str, str] = iam.create_access_key(UserName="trimtab")["AccessKey"]
        return made

    try:
        made = inside(machine, prepare)
        machine.environment |= {"KEY_ID": made["AccessKeyId"], "KEY": made["SecretAccessKey"]}
        yield
    finally:
        server.stop()


def inside(machine: Machine, work: Callable[[], Any]) -> Any:
    """Do something that talks to a server in the machine's network."""
    with ThreadPoolExecutor(1, initializer=machine.enter_network) as pool:
        return pool.submit(work).result()


def start_postgresql(machine: Machine) -> None:
    """Start a cluster of the machine's own, where Debian's would be."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    tool("initdb" if not programs else str(programs[-1] / "initdb"), "postgresql")
    machine.run("install -d -o postgres /run/postgresql /var/lib/postgresql")
    machine.cwd = "/var/lib/postgresql"
    secret = "--auth-host=scram-sha-256 --auth-local=peer"
    machine.run(f"runuser -u postgres -- {programs[-1]}/initdb --pgdata=data --no-sync {secret}")
    options = "-c listen_addresses=127.0.0.1 -c unix_socket_directories=/run/postgresql -c fsync=off"
    machine.run(f"runuser -u postgres -- {programs[-1]}/pg_ctl start -w -D data -l log -o '{options}'")


@pytest.mark.timeout(1800)
def test_a_server_on_postgresql_and_s3_with_the_rights_of_the_page(built: Path, opt: Path, tmp_path: Path) -> None:
    with Machine(tmp_path, opt=opt) as machine:
        start_postgresql(machine)
        shutil.copytree(built, machine.folders["srv"] / "trimtab")
        (machine.folders["srv"] / "trimtab").chmod(0o755)
        machine.run("useradd --system --home-dir /var/lib/trimtab --shell /usr/sbin/nologin trimtab")
        machine.run("install -d -o trimtab -g trimtab -m 700 /var/lib/trimtab")
        settings = "\n".join(block for _, block in blocks(PAGE, "toml"))
        (machine.folders["lib"] / "trimtab" / "trimtab.toml").write_text(settings)
        machine.run("chown trimtab /var/lib/trimtab/trimtab.toml")
        with bucket(machine):
            set_initial_no_auth_action_count(0)(lambda: lives(machine))()


def lives(machine: Machine) -> None:
    """Type the page; train, approve, serve and decide; then try what nobody may."""
    for line in commands(PAGE):
        said = machine.type(line)
    assert "intact" in said or "ledger" in said
    secrets = "set -a; . /etc/trimtab/secrets.env; set +a; "
    machine.cwd = "/var/lib/trimtab"
    for words in ("init", "apply --yes --because 'a first try'", "approve late@1 --because 'first model'"):
        machine.run(f"{secrets}{TRIMTAB} {words}")
    unit = machine.folders["srv"] / "trimtab" / "deploy" / "systemd" / "trimtab.service"
    running = started(machine, Unit(unit.read_text("utf-8")))
    ready = "curl --silent --fail --retry 120 --retry-delay 1 --retry-all-errors http://127.0.0.1:8400/readyz"
    assert json.loads(machine.run(ready, seconds=240))["status"] == "ok"
    asked = machine.run(f"{secrets}{TRIMTAB} predict late --example")
    (decision,) = re.findall(r"trimtab why (\w+)", asked)
    assert running.stop() == 0
    assert "late@1" in machine.run(f"{secrets}{TRIMTAB} why {decision}")
    assert json.loads(machine.run(f"{secrets}{TRIMTAB} verify -o json"))["kind"] == "intact"
    nobody_rewrites(machine)
    nobody_removes(machine)
    the_reader_plans(machine)


def nobody_rewrites(machine: Machine) -> None:
    """What the roles of the database may not."""
    server, reader = (machine.environment[name] for name in ("SERVER_PASSWORD", "READER_PASSWORD"))
    for role, password, statement in (
        ("trimtab", server, "UPDATE ledger_events SET body = body"),
        ("trimtab", server, "DELETE FROM ledger_events"),
        ("trimtab", server, "DELETE FROM ledger_subjects"),
        ("trimtab", server, "TRUNCATE ledger_events"),
        ("trimtab", server, "DROP TABLE ledger_events"),
        ("trimtab", server, "CREATE TABLE mine (one int)"),
        ("trimtab", server, "UPDATE alembic_version SET version_num = '0'"),
        ("trimtab_reader", reader, "DELETE FROM server_tokens"),
        ("trimtab_reader", reader, "INSERT INTO ledger_outbox (bodies) VALUES ('[]')"),
    ):
        address = f"postgresql://{role}:{password}@127.0.0.1/trimtab"
        said = machine.run(f'psql --quiet {address} --command "{statement}" 2>&1; test $? = 1')
        assert "permission denied" in said or "must be owner" in said, f"{role}: {statement}: {said}"


def nobody_removes(machine: Machine) -> None:
    """What the server's key may not; and that its blobs lie where the page says."""

    def tries() -> tuple[str, str]:
        s3 = ask("s3", machine.environment["KEY_ID"], machine.environment["KEY"])
        (first, *_) = s3.list_objects_v2(Bucket="models", Prefix="trimtab/")["Contents"]
        with pytest.raises(ClientError) as removing:
            s3.delete_object(Bucket="models", Key=first["Key"])
        with pytest.raises(ClientError) as elsewhere:
            s3.put_object(Bucket="models", Key="elsewhere", Body=b"x")
        return tuple(caught.value.response["Error"]["Code"] for caught in (removing, elsewhere))

    assert inside(machine, tries) == ("AccessDenied", "AccessDenied")


def the_reader_plans(machine: Machine) -> None:
    """Whoever may only read can say what would change, and changes nothing."""
    database = f"postgresql://trimtab_reader:{machine.environment['READER_PASSWORD']}@127.0.0.1/trimtab"
    plan = "set -a; . /etc/trimtab/secrets.env; set +a; "
    plan += f"TRIMTAB_DATABASE={database} {TRIMTAB} plan"
    assert "there is nothing to do" in machine.run(plan)
