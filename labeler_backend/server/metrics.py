"""/metrics: what Prometheus collects. One registry per app, so that two in one process do not meet."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from labeler_backend.report.fates import OUTCOMES
from labeler_backend.server.protocol import StatusReport

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# Between a warm answer (0.02 s) and Label Studio's patience (100 s).
_BUCKETS = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 1.5, 2, 5, 10, 20, 50, 90, 100)
_METHODS = frozenset({"GET", "HEAD", "POST"})
_STATES = ("queued", "running", "done", "not_promoted", "failed")


class Metrics:
    """Counts what the app answers, and reads everything else from the status when it is collected."""

    def __init__(self, status: Callable[[], StatusReport], paths: frozenset[str]) -> None:
        self._paths = paths
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "labeler_requests",
            "Requests answered.",
            ("method", "path", "status"),
            registry=self._registry,
        )
        self._predict = Histogram(
            "labeler_predict_seconds",
            "From request to answer of /predict, by what asked: a click, one opened task, or a batch.",
            ("kind",),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._registry.register(_FromStatus(status))
        ProcessCollector(registry=self._registry)

    def answered(self, method: str, path: str, status: int, seconds: float) -> None:
        """One request is through. Unknown paths and methods share a name: anybody can think of more."""
        known = path if path in self._paths else "other"
        self._requests.labels(method if method in _METHODS and known == path else "any", known, status).inc()

    def predicted(self, kind: str, seconds: float) -> None:
        """One /predict is answered; `kind` is `click`, `opened` or `batch`."""
        self._predict.labels(kind).observe(seconds)

    def render(self) -> bytes:
        """The text that Prometheus reads (`CONTENT_TYPE`). Asks for the status: call it in a thread."""
        return generate_latest(self._registry)


class _FromStatus(Collector):
    def __init__(self, status: Callable[[], StatusReport]) -> None:
        self._status = status

    def describe(self) -> list[Metric]:
        return []  # so that registering does not ask for the status

    def collect(self) -> Iterator[Metric]:
        report = self._status()
        yield from _model(report)
        yield from _queue(report)
        yield from _caches(report)
        yield _proposals(report)
        yield from _learning(report)


def _model(report: StatusReport) -> Iterator[Metric]:
    model = report.model
    yield InfoMetricFamily(
        "labeler_model",
        "The model that answers.",
        value={
            "name": model.name,
            "version": model.version,
            "device": model.device or "",
            "dtype": model.dtype or "",
            "product": report.product_version,
        },
    )
    yield GaugeMetricFamily("labeler_model_ready", "1 when the model is loaded.", model.state == "ready")
    yield GaugeMetricFamily("labeler_started_seconds", "Unix time of the start.", report.started_at)


def _queue(report: StatusReport) -> Iterator[Metric]:
    queue = report.queue
    waiting = GaugeMetricFamily("labeler_queue_tasks", "Tasks that wait, by urgency.", labels=("urgency",))
    for urgency in ("clicks", "opened", "batch", "warming"):
        waiting.add_metric((urgency,), getattr(queue, urgency))
    yield waiting
    yield GaugeMetricFamily("labeler_queue_capacity", "Tasks that may wait.", queue.capacity)
    yield GaugeMetricFamily("labeler_running_tasks", "Tasks the model works on.", queue.running)
    yield CounterMetricFamily("labeler_images_done", "Images done since the start.", queue.done)
    yield CounterMetricFamily("labeler_failures", "Tasks that failed since the start.", queue.failed)


def _caches(report: StatusReport) -> Iterator[Metric]:
    families = (
        (CounterMetricFamily("labeler_cache_hits", "Found in a cache.", labels=("cache",)), "hits"),
        (CounterMetricFamily("labeler_cache_misses", "Not found in a cache.", labels=("cache",)), "misses"),
        (GaugeMetricFamily("labeler_cache_bytes", "On disk.", labels=("cache",)), "bytes"),
        (GaugeMetricFamily("labeler_cache_max_bytes", "Allowed on disk.", labels=("cache",)), "max_bytes"),
    )
    for family, field in families:
        for cache in report.caches:
            family.add_metric((cache.name,), getattr(cache, field))
        yield family


def _proposals(report: StatusReport) -> Metric:
    """A gauge, for deleted annotations count no longer."""
    family = GaugeMetricFamily(
        "labeler_proposals",
        "What became of the proposals in submitted annotations; drawn: regions that no proposal had.",
        labels=("project", "outcome"),
    )
    for project in report.projects:
        for outcome in OUTCOMES:
            family.add_metric((project.id, outcome), getattr(project, outcome))
    return family


def _learning(report: StatusReport) -> Iterator[Metric]:
    job = GaugeMetricFamily(
        "labeler_training", "1 for the state of the last or next training.", labels=("project", "state")
    )
    progress = GaugeMetricFamily("labeler_training_progress", "Of it, 0 to 1.", labels=("project",))
    ended = GaugeMetricFamily("labeler_training_ended_seconds", "Unix time of its end.", labels=("project",))
    left = GaugeMetricFamily(
        "labeler_training_left", "Annotations until the next one by itself.", labels=("project",)
    )
    version = GaugeMetricFamily(
        "labeler_head_version", "Number of the head that serves.", labels=("project",)
    )
    quality = GaugeMetricFamily(
        "labeler_head_quality", "Of the head that serves, on held-out images.", labels=("project", "metric")
    )
    for project in report.projects:
        name, training, head = [project.id], project.training, project.head
        if training is not None:
            for state in _STATES if training.state != "none" else ():
                job.add_metric([*name, state], float(training.state == state))
            progress.add_metric(name, training.progress)
            if training.ended is not None:
                ended.add_metric(name, training.ended)
            if training.left is not None:
                left.add_metric(name, training.left)
        if head is not None:
            version.add_metric(name, head.number)
            measured = head.after.model_dump(exclude={"images"}) if head.after else {}
            for metric, value in measured.items():
                if value is not None:
                    quality.add_metric([*name, metric], value)
    yield from (job, progress, ended, left, version, quality)
