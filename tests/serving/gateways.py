"""A gateway that runs for as long as a test asks it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from tests.serving.late import NAMES

from trimtab.kernel import TrimtabError
from trimtab.serving import Ask, Gateway


@asynccontextmanager
async def running(gateway: Gateway) -> AsyncIterator[Gateway]:
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.stop()


def serve(gateway: Gateway, act: Callable[[Gateway], Awaitable[Any]]) -> Any:
    """Run a gateway for as long as ``act`` takes, and return what that returns."""

    async def whole() -> Any:
        async with running(gateway):
            return await act(gateway)

    return asyncio.run(whole())


def problem_of(gateway: Gateway, ask: Ask, endpoint: str = "late") -> TrimtabError:
    with pytest.raises(TrimtabError) as caught:
        serve(gateway, lambda g: g.infer(endpoint, ask))
    assert all(caught.value.parts().values())
    return caught.value


def raw(**changes: Any) -> Ask:
    columns = dict(zip(NAMES, [["EWR"], ["UA"], [733.0], [13], [40.0]], strict=True)) | changes
    return Ask(columns={name: values for name, values in columns.items() if values is not None})
