"""Prometheus metrics, made of the server's counts when they are asked for; between two scrapes they cost nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from ...errors import WavetileError
from ...session.counts import ModelCounts
from ...session.histogram import TimeHistogram
from ..activity import ModelActivity, WorkCounts
from .instruments import Instruments

if TYPE_CHECKING:
    from aiohttp import web
    from prometheus_client.core import Metric

OCTAVES = range(14, 34)
"""Histograms of times have bounds of 2^octave ns: 16 us to 9 s."""
Values = dict[tuple[str, ...], float]
"""Values of labels -> a metric's value."""
BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


def metrics_handler(instruments: Instruments) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """What answers a scrape. Raises WavetileError when prometheus-client is not installed."""
    try:
        from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
    except ImportError as error:
        raise WavetileError("metrics need prometheus-client (pip install 'wavetile[metrics]')") from error
    from aiohttp import web
    from prometheus_client.registry import Collector

    ProcessCollector(registry=(process := CollectorRegistry()))

    class Families(Collector):
        """What was read on the event loop, for the thread that writes it down."""

        def __init__(self, families: list[Metric]) -> None:
            self._families = families

        def collect(self) -> Iterable[Metric]:
            return [*self._families, *process.collect()]

    async def answer(request: web.Request) -> web.StreamResponse:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(Families(list(metric_families(instruments))))
        body = await asyncio.to_thread(generate_latest, registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    return answer


def metric_families(instruments: Instruments) -> Iterator[Metric]:
    """All of the server's own metrics."""
    counts = {name: instruments.scheduler.counts(name) for name in instruments.scheduler.names}
    yield from _frames(counts)
    yield from _streams(instruments)
    activity = instruments.activity.by_model
    yield from _work("image_part", {name: one.parts for name, one in activity.items() if one.parts.compute.count})
    networks = {name for release in instruments.models.live for name in release.networks}
    evaluations = {name: one.evaluations for name, one in activity.items()}
    yield from _work(
        "evaluation", {name: one for name, one in evaluations.items() if name in networks or one.compute.count}
    )
    failed: Values = {(name, why): n for name, one in activity.items() for why, n in one.evaluations_failed.items()}
    yield _counter("wavetile_evaluations_failed", "Evaluations that gave no answer", failed, ["model", "reason"])
    refused: Values = {(status,): number for status, number in instruments.calls_refused.items()}
    yield _counter("wavetile_calls_refused", "Calls whose caller may not make them", refused, ["status"])
    admission = instruments.admission
    admitted, limit = admission.capacity.load().largest, admission.limit
    yield _gauge("wavetile_admitted_load_ratio", "Load of the open streams, of what can be in time", {(): admitted})
    yield _gauge("wavetile_admission_limit_ratio", "Load up to which streams come in now; 0: any", {(): limit})
    yield _gauge("wavetile_event_loop_busy_ratio", "Of the time, that messages are handled", {(): admission.loop_share})
    yield _gauge("wavetile_draining", "Whether the server is stopping", {(): int(admission.draining)})
    yield _gauge("wavetile_compute_threads", "Compute threads", {(): instruments.options.threads})
    version = instruments.options.version
    yield _gauge("wavetile_info", "The server's version", {(version,): 1}, ["version"])


def _frames(counts: dict[str, ModelCounts]) -> Iterator[Metric]:
    yield _counter(
        "wavetile_frames", "Frames that were computed", {(name,): one.frames for name, one in counts.items()}
    )
    outcomes: Values = {(name, outcome.value): n for name, one in counts.items() for outcome, n in one.outcomes.items()}
    yield _counter(
        "wavetile_frame_deadlines", "What became of frames at their deadlines", outcomes, ["model", "outcome"]
    )
    for name, what, histograms in (
        ("queue", "a frame waited for compute", {name: one.queue for name, one in counts.items()}),
        ("compute", "a frame's batch computed", {name: one.compute for name, one in counts.items()}),
        (
            "end_to_end",
            "it took from a frame's last sample until its result was on its way",
            {name: one.end_to_end for name, one in counts.items()},
        ),
    ):
        yield _times(f"wavetile_frame_{name}_seconds", f"How long {what}", histograms)
    yield _batches(counts)
    yield _counter(
        "wavetile_compute_busy_seconds",
        "How long compute threads computed batches of frames",
        {(name,): one.compute_ns / 1e9 for name, one in counts.items()},
    )


def _streams(instruments: Instruments) -> Iterator[Metric]:
    by_model = instruments.activity.by_model
    active, state = dict.fromkeys(by_model, 0), dict.fromkeys(by_model, 0)
    for stream in instruments.activity.open.values():
        active[stream.model] += 1
        state[stream.model] += stream.state_bytes
    yield _gauge("wavetile_streams_active", "Streams that are open", _by_name(active))
    yield _gauge("wavetile_streams_limit", "Streams that may be open", {(): instruments.options.max_streams})
    yield _gauge("wavetile_state_bytes", "What the open streams keep between frames", _by_name(state))
    releases = instruments.models.live
    serving = set(instruments.models.serving.values())
    leases: Values = {
        (one.name, one.version, "serving" if one in serving else "draining"): one.leases for one in releases
    }
    labels = ["model", "version", "state"]
    yield _gauge("wavetile_version_uses", "Streams, and evaluations under way, of each version", leases, labels)
    opened = {name: one.opened for name, one in by_model.items()}
    yield _counter("wavetile_streams_opened", "Streams that have begun", _by_name(opened))
    everything: dict[str, ModelActivity] = {**by_model, "": instruments.activity.unknown}
    refused: Values = {(name, why): n for name, one in everything.items() for why, n in one.refused.items()}
    ended: Values = {(name, how): n for name, one in everything.items() for how, n in one.ended.items()}
    yield _counter("wavetile_streams_refused", "Streams that ended before they began", refused, ["model", "reason"])
    yield _counter("wavetile_streams_ended", "Streams that have ended, and how", ended, ["model", "how"])


def _work(name: str, work: dict[str, WorkCounts]) -> Iterator[Metric]:
    for part, histograms in (
        ("queue", {name: one.queue for name, one in work.items()}),
        ("compute", {name: one.compute for name, one in work.items()}),
    ):
        what = f"How long {'the compute of' if part == 'compute' else 'the wait for'} an {name.replace('_', ' ')} took"
        yield _times(f"wavetile_{name}_{part}_seconds", what, histograms)


def _by_name(values: dict[str, int]) -> Values:
    return {(name,): value for name, value in values.items()}


def _gauge(name: str, what: str, values: Values, labels: list[str] | None = None) -> Metric:
    from prometheus_client.core import GaugeMetricFamily

    if labels is None:
        labels = ["model"] if any(values) else []
    family = GaugeMetricFamily(name, what, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _counter(name: str, what: str, values: Values, labels: list[str] | None = None) -> Metric:
    from prometheus_client.core import CounterMetricFamily

    family = CounterMetricFamily(name, what, labels=labels or ["model"])
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _times(name: str, what: str, histograms: dict[str, TimeHistogram]) -> Metric:
    from prometheus_client.core import HistogramMetricFamily

    family = HistogramMetricFamily(name, what, labels=["model"])
    for model, histogram in histograms.items():
        bounds = [str(2**octave / 1e9) for octave in OCTAVES]
        buckets = [*zip(bounds, histogram.below(OCTAVES), strict=True), ("+Inf", histogram.count)]
        family.add_metric([model], buckets, histogram.total_ns / 1e9)
    return family


def _batches(counts: dict[str, ModelCounts]) -> Metric:
    from prometheus_client.core import HistogramMetricFamily

    family = HistogramMetricFamily("wavetile_batch_frames", "Frames in a batch", labels=["model"])
    for model, one in counts.items():
        sizes = {size: batch.batches for size, batch in one.by_size.items()}
        buckets = [(str(bound), float(sum(n for size, n in sizes.items() if size <= bound))) for bound in BATCH_SIZES]
        family.add_metric(
            [model], [*buckets, ("+Inf", sum(sizes.values()))], sum(size * n for size, n in sizes.items())
        )
    return family
