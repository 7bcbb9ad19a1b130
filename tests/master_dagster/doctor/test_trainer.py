"""The check of the service that runs training jobs."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from master_dagster.doctor.findings import read_set_up
from master_dagster.doctor.trainer import check_trainer
from tests.kubernetes_stand_in import KUBERNETES, KubernetesStandIn
from tests.stand_in_jobs import Refusal


def find(changed: dict[str, Any], calls: bool, folder: Path, lake: str, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The findings with Kubernetes as the backend."""
    file = folder / "trainer.yaml"
    file.write_text(yaml.safe_dump({"backend": {**KUBERNETES, **changed}}))
    for name, value in {"MASTER_PROJECT": folder, "MASTER_LAKE_ROOT": lake, "MASTER_TRAINER": file}.items():
        monkeypatch.setenv(name, str(value))
    return list(check_trainer(read_set_up(), calls=calls))


@pytest.mark.parametrize(
    ("changed", "calls", "status", "words"),
    [
        ({}, True, "ok", "kubernetes:127.0.0.1:training answers"),
        ({"context": "nothing"}, True, "warning", "no cluster is configured"),
        ({}, False, "skipped", "--no-calls"),
    ],
)
def test_a_service_is_asked_once(
    kubernetes_stand_in: KubernetesStandIn,
    s3_root: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changed: dict[str, Any],
    calls: bool,
    status: str,
    words: str,
) -> None:
    [finding] = find(changed, calls, tmp_path, s3_root, monkeypatch)
    assert (finding.status, words in finding.message) == (status, True), finding


def test_a_service_that_refuses_is_a_warning(
    kubernetes_stand_in: KubernetesStandIn, s3_root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubernetes_stand_in.refusals["read jobs"] = [Refusal("Forbidden", "cannot get jobs", 403)]
    [finding] = find({}, True, tmp_path, s3_root, monkeypatch)
    assert finding.status == "warning"
    assert "cannot get jobs; check backend.namespace; the Role in infra/helm/training.yaml" in finding.message


def test_this_machine_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_PROJECT", str(tmp_path))
    monkeypatch.setenv("MASTER_LAKE_ROOT", str(tmp_path / "lake"))
    assert list(check_trainer(read_set_up())) == []
