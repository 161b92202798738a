"""Programs of others that the operating guide is about."""

import os
import shutil

import pytest


def tool(name: str, package: str) -> str:
    """Return where a program is. Without it the test is skipped; under ``CI=true``, which installs it, it fails."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if found is None:
        message = f"{name} is not here; it comes with the package {package}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return found
