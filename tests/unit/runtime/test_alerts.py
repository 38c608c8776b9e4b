"""Alert conditions: when they begin and end, what is told, and that the examples and documents are right."""

import math
import re
from pathlib import Path

import pytest
import yaml
from prometheus_client import REGISTRY, CollectorRegistry, Gauge
from prometheus_client.metrics import MetricWrapperBase
from structlog.testing import capture_logs

from footfall import metrics
from footfall.runtime.alerts import CONDITIONS, DOOR, WORKER, Alerts, threshold
from footfall.settings import Settings

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[3]
SETTINGS = Settings(
    data=ROOT, alert_queue_depth=100, alert_oldest_age=10, alert_disk_free=1000, alert_dead_letters=0
)


class World:
    """Conditions over metrics of their own."""

    def __init__(self, *knows, settings=SETTINGS):
        self.registry = CollectorRegistry()
        self.gauges = {each.metric: Gauge(each.metric, "x", registry=self.registry) for each in CONDITIONS}
        self.gauges["footfall_store_up"].set(1)
        self.gauges["footfall_disk_free_bytes"].set(1 << 40)
        self.now = 1_800_000_000.0
        self.alerts = Alerts(settings, knows, self.registry, clock=lambda: self.now)

    async def look(self, *values, metric):
        """Look at each of these values in turn; the lines of the log."""
        with capture_logs() as lines:
            for value in values:
                self.gauges[metric].set(value)
                await self.alerts.look()
        return [line["event"] for line in lines]

    @property
    def holds(self):
        return [each["condition"] for each in self.alerts.health()["alerts"]]


DEPTH = "footfall_log_backlog_records"


async def test_it_begins_at_the_second_look_beyond_and_is_told_once():
    world = World("queue_depth")
    assert await world.look(100, 101, metric=DEPTH) == []
    assert world.alerts.health() == {"status": "ok", "alerts": []}
    assert await world.look(500, metric=DEPTH) == ["alert.begins"]
    assert await world.look(500, 600, 101, 90, metric=DEPTH) == []
    assert world.alerts.health()["status"] == "degraded"
    assert world.holds == ["queue_depth"]
    assert await world.look(80, metric=DEPTH) == ["alert.ends"]
    assert await world.look(80, 101, 100, 101, metric=DEPTH) == []
    assert world.alerts.health()["status"] == "ok"


async def test_health_says_what_and_since_when_and_no_figures():
    world = World("queue_depth")
    await world.look(101, 123_457, metric=DEPTH)
    (alert,) = world.alerts.health()["alerts"]
    assert alert["since"] == "2027-01-15T08:00:00+00:00"
    assert "123457" not in str(alert)


@pytest.mark.parametrize(
    ("name", "bad", "good"),
    [
        ("oldest_age", 11, 8),
        ("store_down", 0, 1),
        ("disk_free", 999, 1200),
        ("worker_paused", 1, 0),
        ("dead_letters", 1, 0),
        ("imbalance", 1, 0),
        ("verify", 2, 0),
    ],
)
async def test_every_condition_begins_and_ends(name, bad, good):
    world = World(name)
    (condition,) = (each for each in CONDITIONS if each.name == name)
    assert await world.look(bad, bad, metric=condition.metric) == ["alert.begins"]
    assert _sample(name) == 1
    assert await world.look(good, metric=condition.metric) == ["alert.ends"]
    assert _sample(name) == 0


def _sample(name):
    return REGISTRY.get_sample_value("footfall_alert", {"condition": name})


async def test_what_is_not_known_is_no_alert():
    world = World(*WORKER)
    metric = "footfall_verify_findings"
    assert await world.look(math.nan, math.nan, math.nan, metric=metric) == []
    assert "verify" not in world.holds


async def test_a_process_looks_only_at_what_it_knows():
    world = World(*DOOR)
    assert await world.look(0, 0, 0, metric="footfall_store_up") == []
    assert await world.look(1, 1, 1, metric="footfall_worker_paused") == []


async def test_the_free_space_of_the_data_directory_is_measured(tmp_path):
    registry = CollectorRegistry()
    settings = Settings(data=tmp_path)
    await Alerts(settings, DOOR, registry).look()
    free = metrics.DISK_FREE_BYTES._value.get()
    assert 0 < free < 1 << 60


# Names and documents


def families():
    """The metrics of footfall/metrics.py."""
    made = (value for value in vars(metrics).values() if isinstance(value, MetricWrapperBase))
    return [family for metric in made for family in metric.describe()]


def exposed():
    """The names of the samples that they expose."""
    parts = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
    return {family.name + part for family in families() for part in parts[family.type]}


def rules():
    (group,) = yaml.safe_load((ROOT / "examples/prometheus-alerts.yml").read_text())["groups"]
    return group["rules"]


def test_each_condition_is_about_a_metric_and_a_setting_that_exist():
    assert {each.metric for each in CONDITIONS} <= exposed()
    assert {threshold(each, SETTINGS) for each in CONDITIONS} == {100, 10, 1, 1000, 0}
    assert set(DOOR) < set(WORKER) == {each.name for each in CONDITIONS}


def test_the_example_rules_name_only_metrics_that_exist():
    found = rules()
    assert len(found) > 10
    for rule in found:
        assert re.fullmatch(r"Footfall[A-Za-z]+", rule["alert"])
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert rule["annotations"]["summary"]
        used = set(re.findall(r"\bfootfall_\w+", rule["expr"]))
        assert used <= exposed(), rule["alert"]
        assert used or rule["alert"] == "FootfallDown"
    assert len({rule["alert"] for rule in found}) == len(found)


def test_the_example_rules_have_the_default_thresholds():
    text = "\n".join(rule["expr"] for rule in rules())
    for condition in CONDITIONS:
        if isinstance(condition.threshold, str):
            sign = ">" if condition.worse == "above" else "<"
            assert f"{condition.metric}) {sign} {threshold(condition, Settings()):.0f}" in text, (
                condition.name
            )
