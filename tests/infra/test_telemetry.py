"""The example of a collector and Prometheus fits what runs send."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).parents[2] / "infra" / "telemetry"
# What Prometheus makes of our instruments: dots become underscores, the unit of seconds is added.
METRICS = {"gen_ai_client_token_usage", "gen_ai_client_operation_duration_seconds"}
LABELS = {"gen_ai_request_model", "gen_ai_token_type", "error_type", "le"}


def read(name: str) -> Any:
    return yaml.safe_load((FOLDER / f"{name}.yaml").read_text())


@pytest.mark.parametrize(
    "rule", read("rules")["groups"][0]["rules"], ids=lambda rule: rule.get("record", rule.get("alert"))
)
def test_a_rule_reads_metrics_and_labels_that_runs_send(rule: dict[str, Any]) -> None:
    names = set(re.findall(r"\bgen_ai_\w+|\berror_type|\ble\b", rule["expr"]))
    assert {name for name in names - LABELS if re.sub("_(sum|count|bucket)$", "", name) not in METRICS} == set()
    own = set(re.findall(r"master:[\w:]+", rule["expr"]))
    assert own <= {one["record"] for one in read("rules")["groups"][0]["rules"] if "record" in one}


def test_prometheus_reads_the_collector_on_loopback() -> None:
    (scraped,) = read("prometheus")["scrape_configs"]
    collector = read("collector")
    exporter = collector["exporters"]["prometheus"]["endpoint"]
    assert scraped["static_configs"] == [{"targets": [exporter]}]
    assert read("prometheus")["rule_files"] == ["rules.yaml"]
    for pipeline in collector["service"]["pipelines"].values():
        for kind in ("receivers", "processors", "exporters"):
            assert set(pipeline[kind]) <= collector[kind].keys()
    assert {exporter.split(":")[0], collector["receivers"]["otlp"]["protocols"]["http"]["endpoint"].split(":")[0]} == {
        "127.0.0.1"
    }
