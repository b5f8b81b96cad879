"""Real-time pace for recorded signals: each chunk leaves when a microphone would have finished recording it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable

import numpy as np


async def at_real_time(
    chunks: AsyncIterable[np.ndarray],
    sample_rate_hz: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncIterator[np.ndarray]:
    """Yield each chunk `[samples, ...]` at start + (samples up to its end) / rate.

    Every due time counts from the start, so that the error of one sleep does not add to the next: the pace does not
    drift. After a stall the late chunks follow at once.
    """
    start_s = clock()
    samples = 0
    async for chunk in chunks:
        samples += len(chunk)
        wait_s = start_s + samples / sample_rate_hz - clock()
        if wait_s > 0:
            await sleep(wait_s)
        yield chunk
