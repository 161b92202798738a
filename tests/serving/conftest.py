"""What the tests of serving share: two fitted models, and a gate that releases them."""

from typing import Any

import pytest
from tests.serving.late import FakeReleases, trained


@pytest.fixture(scope="session")
def models() -> dict[int, Any]:
    """Fitted models that differ, by version."""
    return {1: trained(seed=1), 2: trained(seed=2, trees=8), 3: trained(seed=3, trees=6)}


@pytest.fixture
def releases() -> FakeReleases:
    return FakeReleases()
