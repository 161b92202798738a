"""The small project, written and loaded."""

from pathlib import Path

import pytest
from tests.loop.parcels import write_project

from trimtab.declare import Project, load_project


@pytest.fixture
def project_file(tmp_path: Path) -> Path:
    """The file of the small project; its gate asks for an AUC that the model reaches."""
    return write_project(tmp_path / "parcels.py")


@pytest.fixture
def project(project_file: Path) -> Project:
    return load_project(project_file)
