"""The shells of the journeys, for tests that kill what runs in them."""

from tests.journeys.conftest import approved, elsewhere, long_fit, shell, tidy

__all__ = ["approved", "elsewhere", "long_fit", "shell", "tidy"]
