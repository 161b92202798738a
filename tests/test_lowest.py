"""The lowest versions that ``pyproject.toml`` admits have no known hole, and the first day goes well with them.

On SQLite and local files, then on PostgreSQL and a server that speaks S3.
"""

import os
import re
import shutil
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version
from tests.test_build import ROOT, Type, built, environment, first_day, type_, wheel_of

__all__ = ["built", "environment", "type_"]  # fixtures

HOLES = {
    "cryptography": ("46.0.7", "CVE-2026-39892 (buffers that are not contiguous), CVE-2026-26007, CVE-2024-12797"),
    "duckdb": ("1.4.2", "CVE-2025-64429 (encrypted databases)"),
    "h11": ("0.16", "CVE-2025-43859 (request smuggling by malformed chunks)"),
    "httptools": ("0.6", "CVE-2023-30589 (request smuggling)"),
    "jinja2": ("3.1.6", "CVE-2025-27516 (the way out of the sandbox)"),
    "onnx": ("1.21", "CVE-2026-27489, CVE-2026-34445, CVE-2024-27318 (files outside of a model's folder)"),
    "protobuf": ("6.33.5", "CVE-2026-0994, CVE-2025-4565 (recursion without a limit)"),
    "pyarrow": ("23.0.1", "CVE-2026-25087, CVE-2023-47248 (files that run code)"),
    "pyyaml": ("5.4", "CVE-2020-14343 (texts that run code)"),
    "scikit-learn": ("1.5", "CVE-2024-5206 (words of the training data in a model)"),
    "skops": ("0.13", "CVE-2025-54412, CVE-2025-54413, CVE-2025-54886 (models that run code)"),
    "starlette": ("1.3.1", "CVE-2026-54283, CVE-2025-62727 (requests that take for ever), CVE-2026-48710 (Host)"),
}
"""By package: the first version without holes of its kind that are known, and what they are."""
EXTRAS = ("sklearn", "onnx", "s3")


def requirements() -> dict[str, Requirement]:
    """What is installed by the core and by ``EXTRAS``."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    texts = [*project["dependencies"], *(text for one in EXTRAS for text in project["optional-dependencies"][one])]
    return {one.name.lower(): one for one in map(Requirement, texts)}


def lowest(requirement: Requirement) -> Version:
    (bound,) = (one for one in requirement.specifier if one.operator == ">=")
    return Version(bound.version)


@pytest.mark.parametrize("package", HOLES)
def test_the_lower_bound_admits_no_known_hole(package: str) -> None:
    sound, holes = HOLES[package]
    assert lowest(requirements()[package]) >= Version(sound), holes


@pytest.fixture
def constraints(tmp_path: Path) -> Path:
    """Each package at its lower bound, and what they need in turn as it comes."""
    file = tmp_path / "lowest.txt"
    lines = [
        f"{name}=={lowest(one)}" + (f"; {one.marker}" if one.marker else "") for name, one in requirements().items()
    ]
    file.write_text("\n".join(lines) + "\n", "utf-8")
    return file


@pytest.mark.skipif(
    "true" not in (os.environ.get("CI"), os.environ.get("TRIMTAB_TEST_LOWEST")),
    reason="it installs some forty packages: TRIMTAB_TEST_LOWEST=true runs it here",
)
@pytest.mark.timeout(1800)
def test_the_first_day_goes_well_with_the_lowest_versions(
    s3: str, postgres_url: str, built: Path, type_: Type, tmp_path: Path
) -> None:
    type_(f"pip install -q '{wheel_of(built)}[{','.join(EXTRAS)}]'")
    installed = dict(re.findall(r"^([\w.-]+)==(\S+)$", type_("pip freeze").stdout, re.MULTILINE))
    found = {name.lower().replace("_", "-"): Version(version) for name, version in installed.items()}
    for name, requirement in requirements().items():
        if requirement.marker is None or requirement.marker.evaluate():
            assert found[name] == lowest(requirement)
    type_("trimtab init")
    type_("trimtab plan", code=2)
    first_day(type_)
    # And once more, with everything on servers.
    folder = tmp_path / "empty"
    shutil.rmtree(folder / ".trimtab")
    with (folder / "trimtab.toml").open("a") as settings:
        settings.write(f'database = "{postgres_url}"\nblobs = "s3://models/lowest"\nblobs_endpoint = "{s3}"\n')
    first_day(type_)
    assert not (folder / ".trimtab" / "trimtab.db").exists()
