import json
import re
from pathlib import Path

from meshinfer.metrics import METRICS, Kind

ROOT = Path(__file__).resolve().parent.parent.parent
BY_NAME = {metric.name: metric for metric in METRICS}


def test_names_are_unique_tell_their_unit_and_grow_only_if_they_say_so() -> None:
    assert len(BY_NAME) == len(METRICS)
    for metric in METRICS:
        assert re.fullmatch(r"meshinfer_[a-z_]+", metric.name)
        assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
        if metric.kind is Kind.HISTOGRAM:
            assert metric.name.endswith("_seconds")
        # OpenMetrics calls a counter's family without the ending.
        assert metric.kind is not Kind.COUNTER or metric.name.removesuffix("_total") not in BY_NAME


def test_the_table_in_the_docs_is_what_is_exported() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert rows == [
        f"| `{metric.name}` | {metric.kind.value} | {', '.join(metric.labels)} | {metric.help} |"
        for metric in METRICS
    ]
    assert set(re.findall(r"meshinfer_[a-z_]+", text)) == set(BY_NAME)


def test_the_dashboard_shows_only_what_is_exported() -> None:
    dashboard = json.loads((ROOT / "examples" / "grafana.json").read_text(encoding="utf-8"))
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    named = {name for expression in expressions for name in re.findall(r"meshinfer_[a-z_]+", expression)}
    exported = {
        name
        for metric in METRICS
        for name in (
            [f"{metric.name}_{part}" for part in ("bucket", "sum", "count")]
            if metric.kind is Kind.HISTOGRAM
            else [metric.name]
        )
    }
    assert named
    assert named <= exported
    labels = set(re.findall(r"by \(([a-z_, ]+)\)", " ".join(expressions)))
    known = {label for metric in METRICS for label in metric.labels} | {"le", "instance"}
    assert {label for group in labels for label in group.split(", ")} <= known
