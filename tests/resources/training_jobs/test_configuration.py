import contextlib
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml

from resources.configuration import ConfigurationError
from resources.lake.store import Store
from resources.lake.tables import Lake
from resources.training_jobs.backend import Backend
from resources.training_jobs.configuration import (
    CONFIGURATIONS,
    TRAINING_BACKENDS,
    BackendConfiguration,
    load_trainer_configuration,
)
from resources.training_jobs.launcher import open_job_launcher
from resources.training_jobs.local import LocalBackend
from tests.plugin_distribution import use

EXAMPLES = sorted((CONFIGURATIONS / "examples").glob("*.yaml"))


def load(tmp_path: Path, content: Any) -> Any:
    path = tmp_path / "trainer.yaml"
    path.write_text(yaml.safe_dump(content))
    return load_trainer_configuration(str(path))


def test_the_shipped_configuration_is_this_machine() -> None:
    assert load_trainer_configuration("local").backend.kind == "local"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_are_valid(path: Path) -> None:
    assert load_trainer_configuration(str(path)).backend.kind == path.stem


def test_examples_are_no_shipped_names() -> None:
    with pytest.raises(ConfigurationError, match="one of the shipped names: local"):
        load_trainer_configuration("sagemaker")


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    place = {
        "kind": "sagemaker",
        "image": "trainer:latest",
        "role": "me",
        "instance_type": "p5",
        "volume_gb": 1,
        "gpus": 1,
    }
    place |= {"volume_gb": 1, "gpus": 1}
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path, {"backend": place, "timeouts": {"tries": 0}, "price": 1})
    for fault in ("image", "role", "instance_type", "volume_gb", "gpus", "timeouts.tries", "price"):
        assert fault in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"max_hours": 50}, "max_wait_hours 48 is less than max_hours 50"),
        ({"subnets": ["subnet-1"]}, "subnets and security_groups go together"),
    ],
)
def test_options_that_contradict_each_other_are_refused(tmp_path: Path, changed: Any, fault: str) -> None:
    content = yaml.safe_load((CONFIGURATIONS / "examples" / "sagemaker.yaml").read_text())
    content["backend"] |= changed
    with pytest.raises(ConfigurationError, match=fault):
        load(tmp_path, content)


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"memory": "60GB"}, "backend.kubernetes.memory"),
        ({"memory": "60ki"}, "backend.kubernetes.memory"),
        ({"tolerations": [{"key": "gpu", "value": "yes"}]}, "operator: Equal"),
        ({"environment": {"A": "1"}, "secrets": {"A": {"name": "keys", "key": "a"}}}, "both in environment and in"),
        ({"cpu": 8, "memory": "60000000Ki"}, None),
    ],
)
def test_options_that_a_cluster_would_refuse_are_named(tmp_path: Path, changed: Any, fault: str | None) -> None:
    content = yaml.safe_load((CONFIGURATIONS / "examples" / "kubernetes.yaml").read_text())
    content["backend"] |= changed
    with pytest.raises(ConfigurationError, match=fault) if fault else contextlib.nullcontext():
        assert load(tmp_path, content).backend.kind == "kubernetes"


def test_an_unknown_place_is_refused_with_those_that_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no kind 'moon'; kinds: batch, kubernetes, local, sagemaker"):
        load(tmp_path, {"backend": {"kind": "moon"}})


class Moon(BackendConfiguration):
    """A backend of a plug-in."""

    kind: Literal["moon"]
    crater: str

    def open(self, store: Store, detached: bool) -> Backend:
        return LocalBackend(Path(self.crater), detached=detached)


def test_a_backend_of_a_plug_in_is_opened_with_its_own_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, TRAINING_BACKENDS, moon=Moon)
    content = {"backend": {"kind": "moon", "crater": str(tmp_path)}, "timeouts": {"detached": True}}
    backend = open_job_launcher(load(tmp_path, content), Lake.at(str(tmp_path)).store).backend
    assert isinstance(backend, LocalBackend)
    assert (backend.folder, backend.detached) == (tmp_path, True)
    with pytest.raises(ConfigurationError, match=r"backend: crater: has to be given \(plug-in moon of acme 1.0\)"):
        load(tmp_path, {"backend": {"kind": "moon"}})


def test_a_file_with_the_former_keys_gets_one_error_with_the_new_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="`place` is now called `backend`; the key `patience` is now called"):
        load(tmp_path, {"place": {"kind": "local"}, "patience": {}})
