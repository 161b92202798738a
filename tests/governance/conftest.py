"""The small project of the loop's tests."""

from tests.loop.conftest import project, project_file

__all__ = ["project", "project_file"]
