"""Mistakes on the command line: words, names, references, filters, times, files, and settings."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.mistakes.answers import Mistake, check
from tests.mistakes.conftest import parts_of
from tests.mistakes.homes import ALICE
from tests.mistakes.standing import RECORDED, REFUSED, unchanged

from trimtab.serving import remove_endpoint
from trimtab.store import Store

NO_ID = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
NO_VERSION = Mistake("there is no version slow@99", "reference slow@99", "trimtab get models slow")
OVER = Mistake("and cannot be approved", "version slow@", "trimtab get models slow")

Typed = Callable[..., tuple[int, dict[str, str], str]]

WORDS = {
    "aprove slow@3": (2, Mistake("no verb 'aprove'. Did you mean 'approve'?", "trimtab", "trimtab --help")),
    "frobnicate": (2, Mistake("There is no verb 'frobnicate'", "trimtab", "trimtab --help")),
    "run": (2, Mistake("Missing argument 'NAME'", "trimtab run", "trimtab run --help")),
    "plan --fast": (1, Mistake("No such option '--fast'", "trimtab plan", "trimtab plan --help")),
    "get runs -o xml": (2, Mistake("'xml' is not one of", "trimtab get", "trimtab get --help")),
    "get runs -n 0": (2, Mistake("0 is not in the range", "trimtab get", "trimtab get --help")),
    "token create ci --may all": (1, Mistake("'all' is no permission", "tokens", "approve:late,churn")),
    "token revoke": (2, Mistake("Missing argument", "trimtab token revoke", "trimtab token revoke --help")),
}

NAMES = {
    "get modls": (1, Mistake("nothing called 'modls' to get", "trimtab get", "models")),
    "get models fast": (1, Mistake("there is no model 'fast'", "models", "trimtab get models")),
    "get versions slow@99": (1, NO_VERSION),
    "get versions slow@3x": (1, Mistake("'slow@3x' names no version", "reference 'slow@3x'", "trimtab get models")),
    f"get runs {NO_ID}": (1, Mistake("there is no run", "tracking", "trimtab get runs")),
    "get runs fast": (1, Mistake("there is no experiment 'fast'", "search", "trimtab get experiments")),
    "get experiments fast": (1, Mistake("there is no experiment 'fast'", "experiments", "trimtab get experiments")),
    "get pipelines fast": (1, Mistake("there is no pipeline 'fast'", "get pipelines", "trimtab get pipelines")),
    "get snapshots fast": (1, Mistake("there is no snapshot 'fast'", "get snapshots", "trimtab get snapshots")),
    "get decisions fast": (1, Mistake("there is no endpoint 'fast'", "serving", "trimtab get endpoints")),
    "get tokens fast": (1, Mistake("there is no token 'fast'", "get tokens", "trimtab get tokens")),
    "get views parcel@x": (1, Mistake("'parcel@x' names no version", "get views", "trimtab get views parcel")),
    f"get evaluations {NO_ID}": (1, Mistake("there is no evaluation", "evaluation", "trimtab get evaluations")),
    f"why {NO_ID}": (1, Mistake("there is no decision", "decision log", "trimtab get decisions")),
    f"logs {NO_ID}": (1, Mistake("there is no pipeline run", "pipelines", "trimtab get pipeline-runs")),
    "data show fast": (1, Mistake("there is no source 'fast'", "trimtab data show", "trimtab get sources")),
    "run fast": (1, Mistake("parcels.py declares no 'fast'", "parcels.py", "trimtab run slow")),
    "token revoke fast --yes": (1, Mistake("there is no token 'fast'", "tokens", "trimtab get tokens")),
}

VERSIONS = {
    "approve slow@3": (1, Mistake("no reason was given", "approve slow@3", "--because 'your reason'")),
    "approve slow@99 --because x": (1, NO_VERSION),
    "approve 'slow 3' --because x": (1, Mistake("'slow 3' cannot name a model", "reference", "late@3")),
    "approve slow@4 --because x": (
        1, Mistake("slow@4 did not pass its gate", "version slow@4", "approve slow@4 --because '...' --override"),
    ),
    "approve slow@1 --because again": (1, OVER),
    "approve slow@2 --because x": (1, OVER),
    "reject slow@1 --because x": (1, Mistake("slow@1 is the champion", "version slow@1", "trimtab serve slow@")),
    "reject slow@3": (1, Mistake("there is nobody to ask", "trimtab reject", "add --yes")),
    "serve slow@3 --because x": (1, Mistake("slow@3 is not released", "version slow@3", "trimtab approve slow@3")),
    "serve slow@2 --because x": (1, Mistake("slow@2 is not released", "version slow@2", "trimtab get models slow")),
    "serve slow@1 --stage canary --because x": (
        1, Mistake("slow@1 cannot be a canary", "endpoint slow", "trimtab serve slow@1 --because"),
    ),
    "serve slow@3 --stage canary --percent 150": (2, Mistake("150.0 is not in the range", "trimtab serve", "--help")),
    "serve fast": (1, Mistake("there is no model 'fast'", "reference fast@champion", "trimtab get models")),
}  # fmt: skip

ASKING = {
    "predict fast --example": (1, Mistake("there is no endpoint 'fast'", "serving", "trimtab get endpoints")),
    "predict slow": (1, Mistake("not clear which row is meant", "trimtab predict", "trimtab predict slow --example")),
    "predict slow weight": (1, Mistake("'weight' gives no value", "trimtab predict", "distance=733")),
    "predict slow weight=3": (1, Mistake("depot, sent is missing", "inputs", "only the key: parcel_id")),
    "predict slow parcel_id=p": (1, Mistake("no Parcel with parcel_id='p'", "features parcel", "trimtab run parcel")),
    "get runs --filter 'metrics.auc >'": (1, Mistake("was expected, not the end", "filter", "write for example")),
    "get runs --filter 'auc > 0.7'": (1, Mistake("a run has no attribute 'auc'", "filter", "write for example")),
    "get events --since yesterday": (1, Mistake("'yesterday' is not a time", "option --since", "2013-03-01")),
    "get events --subject late": (1, Mistake("'late' names no subject", "--subject", "trimtab get events --subject")),
    "data show parcels --month 2013-13": (1, Mistake("is not a month", "option --month", "--month 2013-02")),
    "token create ci --expires soon": (1, Mistake("is not a span of time", "option --expires", "90d, 12h or never")),
    "token create 'c i' --because x": (1, Mistake("cannot be the name of a token", "tokens", "trimtab token create")),
    "--clock later status": (1, Mistake("'later' is not a time", "setting clock", "2013-03-01")),
}

FILES = {
    "plan none.py": (1, Mistake("there is no project file none.py", "none.py", "trimtab init")),
    "plan notes.txt": (1, Mistake("notes.txt is no Python file", "notes.txt", "rename it to notes.py")),
    "init parcels.py": (1, Mistake("parcels.py is there already", "parcels.py", "trimtab plan parcels.py")),
    "init parcels.txt": (1, Mistake("not the name of a Python file", "argument FILE", "trimtab init parcels.py")),
    "verify notes.txt": (
        2,
        Mistake("neither an evidence pack nor an exported ledger", "trimtab verify", "--export FILE"),
    ),
    "verify none.log": (3, Mistake("none.log cannot be read", "trimtab verify", "--export FILE")),
    "verify --key trustme": (
        3,
        Mistake("'trustme' is not a ledger's public key", "trimtab verify", "trimtab verify"),
    ),
    "verify --checkpoint none": (
        3,
        Mistake("the checkpoint none cannot be read", "option --checkpoint", "name a text"),
    ),
    "--home parcels.py status": (1, Mistake("there is no project in parcels.py", "setting home", "correct it")),
    "--home parcels.py apply --yes": (1, Mistake("parcels.py cannot be the home", "setting home", "name a folder")),
    "--home /proc/none status": (1, Mistake("there is no project in /proc/none", "setting home", "TRIMTAB_HOME")),
    "--home /proc/none apply --yes": (1, Mistake("none cannot be the home", "setting home", "TRIMTAB_HOME")),
    "up --host 0.0.0.0": (
        1,
        Mistake("open to everyone", "host 0.0.0.0", "trimtab token create NAME --may read --may admin"),
    ),
}

TYPED = {**WORDS, **NAMES, **VERSIONS, **ASKING, **FILES}


@pytest.mark.parametrize(("line", "code", "expected"), [(line, *case) for line, case in TYPED.items()], ids=TYPED)
def test_a_mistake_is_told(folder: Path, typed: Typed, line: str, code: int, expected: Mistake) -> None:
    (folder / "notes.txt").write_text("buy milk\n")
    before = sorted(path.name for path in folder.iterdir())
    with unchanged(folder / ".trimtab", but=RECORDED if "did not pass its gate" in expected.what else REFUSED):
        found, parts, said = typed(line)
    assert found == code, said
    check(parts, expected)
    assert "Traceback" not in said
    assert sorted(path.name for path in folder.iterdir()) == before


SETTINGS = {
    "TRIMTAB_PORT=many": Mistake("'many' is not a valid value", "TRIMTAB_PORT", "a whole number from 0 to 65535"),
    "TRIMTAB_PORT=99999": Mistake("'99999' is not a valid value", "TRIMTAB_PORT", "a whole number from 0"),
    "TRIMTAB_WORKERS=0": Mistake("'0' is not a valid value", "TRIMTAB_WORKERS", "a whole number from 1"),
    "TRIMTAB_CLOCK=later": Mistake("'later' is not a time", "setting clock", "2013-03-01"),
    "TRIMTAB_DATABASE=mysql://a/b": Mistake("cannot be used", "setting database", "postgresql://user@host/name"),
    "TRIMTAB_BLOBS=ftp://a": Mistake("is not the address of a blob store", "setting blobs", "s3://bucket"),
    "TRIMTAB_HOME=parcels.py/home": Mistake("there is no project in", "setting home", "TRIMTAB_HOME"),
    "port = ": Mistake("is not TOML", "trimtab.toml", "correct trimtab.toml"),
    "prot = 1": Mistake("there is no setting 'prot'", "trimtab.toml", "use one of: "),
    "clock = 2013-03-01": Mistake("is not a valid value", "trimtab.toml", "in quotes"),
    "(a folder)": Mistake("trimtab.toml cannot be read", "trimtab.toml", "make trimtab.toml a file"),
}


@pytest.mark.parametrize(("setting", "expected"), SETTINGS.items(), ids=SETTINGS.keys())
def test_a_wrong_setting_is_told(
    folder: Path, typed: Typed, monkeypatch: pytest.MonkeyPatch, setting: str, expected: Mistake
) -> None:
    file = folder / "trimtab.toml"
    if setting.startswith("TRIMTAB_"):
        monkeypatch.setenv(*setting.split("=", 1))
    elif setting.startswith("("):
        file.unlink()
        file.mkdir()
    else:
        file.write_text(setting + "\n")
    with unchanged(folder / ".trimtab"):
        code, parts, said = typed("status")
    assert code == 1, said
    check(parts, expected)


def test_a_canary_needs_a_champion(opened: Store, typed: Typed) -> None:
    with opened.change(ALICE, "a pause") as change:
        remove_endpoint(change, "slow")
    for stage in ("canary", "shadow"):
        with unchanged(opened):
            code, parts, _ = typed(f"serve slow@1 --stage {stage} --because x")
        assert code == 1
        check(parts, Mistake(f"slow@1 cannot be a {stage}", "endpoint slow", "trimtab serve slow@1 --because"))


def test_a_process_ends_with_the_same_code(folder: Path) -> None:
    words = [sys.executable, "-c", "from trimtab.cli import main; main()", "approve", "slow@1", "--because", "again"]
    with unchanged(folder / ".trimtab"):
        done = subprocess.run(words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 1
    check(parts_of(done.stderr), OVER)


def test_a_token_that_is_over_cannot_be_revoked_again(folder: Path, typed: Typed) -> None:
    assert typed("token create ci --because x")[0] == 0
    assert typed("token revoke ci --yes --because x")[0] == 0
    with unchanged(folder / ".trimtab"):
        code, parts, _ = typed("token revoke ci --yes --because x")
    assert code == 1
    check(parts, Mistake("0 active tokens are called 'ci'", "tokens", "trimtab get tokens"))
