"""Work in the threads of a pool that nobody has to wait for, and that holds nothing once it is given up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from functools import partial
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class _Job(Generic[T]):
    """What the pool's queue holds, also of work that was given up: by then it has let go of what it was to do."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work: Callable[[], T] | None = work

    def __call__(self) -> T:
        assert self._work is not None
        return self._work()

    def drop(self) -> None:
        self._work = None


def submitted(pool: Executor, ended: Callable[[], None], work: Callable[..., T], *arguments: Any) -> asyncio.Future[T]:
    """`work` in `pool`; whoever waits for it or not, `ended` is called on this loop when it is over.

    Cancelled before it has begun it is over at once; what has begun is done all the same.
    """
    loop = asyncio.get_running_loop()
    job = _Job(partial(work, *arguments))

    def over(_: Future[T]) -> None:
        job.drop()
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(ended)

    future = pool.submit(job)
    future.add_done_callback(over)
    return asyncio.wrap_future(future)


async def in_pool(pool: Executor, work: Callable[..., T], *arguments: Any) -> T:
    """What `work` returns that is done in `pool`.

    A caller that is cancelled goes on when the work is over, so that what it holds for the work it holds until then.
    """
    over = asyncio.Event()
    future = submitted(pool, over.set, work, *arguments)
    try:
        return await future
    finally:
        await over.wait()
