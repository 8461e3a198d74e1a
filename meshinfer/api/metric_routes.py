"""`GET /metrics`: all numbers of a peer, for Prometheus."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from fastapi import APIRouter
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import Response

from meshinfer.counting import Histogram
from meshinfer.machine.memory import resident_bytes
from meshinfer.metrics import METRICS, Kind, Reading
from meshinfer.metrics import Metric as OurMetric
from meshinfer.readings import readings

from .api_counts import ApiCounts

if TYPE_CHECKING:
    from meshinfer.peer import Peer


def metric_routes(peer: "Peer", counts: ApiCounts) -> APIRouter:
    """`GET /metrics`. counts: what the API itself has answered."""
    router = APIRouter()
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_PeerCollector(peer, counts))

    @router.get("/metrics")
    async def metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), media_type=None, headers={"content-type": content_type})

    return router


class _PeerCollector(Collector):
    """Reads a peer whenever somebody asks; between that, nothing is done for metrics."""

    def __init__(self, peer: "Peer", counts: ApiCounts) -> None:
        self._peer = peer
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        peer = self._peer
        read = readings(peer.snapshot(), peer.work, peer.ledger, peer.timings, peer.numbers, resident_bytes())
        return families([*read, *self._counts.readings()])


def families(read: Iterable[Reading]) -> Iterator[Metric]:
    """Readings as the library takes them, each metric once, in the order of our table."""
    by_name: dict[str, list[Reading]] = {}
    for reading in read:
        by_name.setdefault(reading.name, []).append(reading)
    for metric in METRICS:
        yield _family(metric, by_name.pop(metric.name, []))
    assert not by_name, f"{', '.join(by_name)}: a metric stands in METRICS"


def _family(metric: OurMetric, read: list[Reading]) -> Metric:
    match metric.kind:
        case Kind.COUNTER:
            counter = CounterMetricFamily(metric.name, metric.help, labels=metric.labels)
            for each in read:
                assert not isinstance(each.value, Histogram)
                counter.add_metric(each.labels, each.value)
            return counter
        case Kind.GAUGE:
            gauge = GaugeMetricFamily(metric.name, metric.help, labels=metric.labels)
            for each in read:
                assert not isinstance(each.value, Histogram)
                gauge.add_metric(each.labels, each.value)
            return gauge
        case Kind.HISTOGRAM:
            histogram = HistogramMetricFamily(metric.name, metric.help, labels=metric.labels)
            for each in read:
                assert isinstance(each.value, Histogram)
                histogram.add_metric(each.labels, _buckets(each.value), each.value.sum)
            return histogram


def _buckets(histogram: Histogram) -> list[tuple[str, float]]:
    below = [(f"{bound:g}", float(count)) for bound, count in histogram.buckets]
    return [*below, ("+Inf", float(histogram.count))]
