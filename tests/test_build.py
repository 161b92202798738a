"""The wheel and the sdist hold the package and nothing else, and the wheel runs in an environment of its own."""

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.metadata import Metadata

from trimtab.kernel import VERSION

ROOT = Path(__file__).parent.parent
SOURCE = {
    str(file.relative_to(ROOT / "src"))
    for file in (ROOT / "src" / "trimtab").rglob("*")
    if file.is_file() and "__pycache__" not in file.parts
}
Type = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ``./dev build`` makes."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([ROOT / "dev", "build", folder], check=True, capture_output=True, text=True)
    return folder


def wheel_of(built: Path) -> Path:
    (wheel,) = built.glob("*.whl")
    return wheel


def test_the_wheel_holds_the_package_and_nothing_else(built: Path) -> None:
    names = set(zipfile.ZipFile(wheel_of(built)).namelist())
    about = f"trimtab-{VERSION}.dist-info"
    license_ = f"{about}/licenses/LICENSE"
    assert names - {license_} == SOURCE | {
        f"{about}/{name}" for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt")
    }
    assert license_ in names
    assert "trimtab/py.typed" in names


def test_the_sdist_holds_what_builds_the_wheel(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.removeprefix(f"trimtab-{VERSION}/") for name in archive.getnames()}
    beside = {".gitignore", "CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md", "pyproject.toml"}
    assert names == beside | {f"src/{name}" for name in SOURCE}


def test_the_metadata_is_valid(built: Path) -> None:
    text = zipfile.ZipFile(wheel_of(built)).read(f"trimtab-{VERSION}.dist-info/METADATA")
    found = Metadata.from_email(text, validate=True)
    assert (found.name, str(found.version), found.license_expression) == ("trimtab", VERSION, "Apache-2.0")
    assert found.description == (ROOT / "README.md").read_text("utf-8")


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """An environment without a single package."""
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "environment"], check=True)
    return tmp_path / "environment" / "bin"


@pytest.fixture
def constraints() -> Path:
    """Which versions are installed."""
    return ROOT / "constraints.txt"


@pytest.fixture
def type_(environment: Path, tmp_path: Path, constraints: Path) -> Type:
    """Type a command in an empty folder, with the environment first on the path."""
    folder = tmp_path / "empty"
    folder.mkdir()
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("TRIMTAB_", "PYTHON"))}
    plain |= {
        "PATH": f"{environment}:{plain['PATH']}",
        "PIP_CONSTRAINT": str(constraints),
        "NO_COLOR": "1",
    }

    def run(command: str, *, code: int = 0) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(["sh", "-c", command], cwd=folder, env=plain, capture_output=True, text=True, check=False)
        assert done.returncode == code, f"{command}\n{done.stdout}{done.stderr}"
        return done

    return run


def test_the_wheel_runs_in_an_empty_environment(built: Path, type_: Type) -> None:
    type_(f"pip install -q {wheel_of(built)}")
    assert type_("trimtab --version").stdout == f"trimtab {VERSION}\n"
    type_("trimtab init")
    for extra in ("pandas", "sklearn"):
        missing = type_("trimtab plan", code=1).stderr
        hint = f"pip install 'trimtab[{extra}]'"
        assert hint in missing
        type_(f"{hint} -q")  # an extra of what is installed: pip looks for no trimtab anywhere else
    assert "Nothing has changed" in type_("trimtab plan", code=2).stdout
    first_day(type_)


def first_day(type_: Type) -> None:
    """From the file of ``trimtab init`` to a decision that is explained, and a ledger that is whole."""
    type_("trimtab apply --yes --because 'a first try'")
    type_("trimtab approve late@1 --because 'first model'")
    asked = type_("trimtab predict late --example").stdout
    (decision,) = re.findall(r"Next: trimtab why (\w+)", asked)
    assert "late@1" in type_(f"trimtab why {decision}").stdout
    type_("trimtab verify")
