"""The program from the specification to the manifest."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from assets.training_programs.fine_tuning.errors import BAD_INPUT, CRASHED, DONE, INTERRUPTED
from resources.lake.published_folders import MANIFEST, json_bytes
from resources.lake.store import LocalStore, Store, StoreError
from resources.training_jobs.job import SPECIFICATION
from tests.trainer_work import PROJECT, Workplace, conversation, sums
from tests.waiting import until


class Killed(BaseException):
    """Ends the program where it stands, as SIGKILL does."""


class KillingStore(LocalStore):
    """Kills the program before or after it writes the file whose path ends so."""

    def __init__(self, root: str, ending: str, after: bool) -> None:
        super().__init__(Path(root))
        self.ending, self.after = ending, after

    def put(self, path: str, data: bytes) -> None:
        hit = path.endswith(self.ending)
        if hit and not self.after:
            raise Killed
        super().put(path, data)
        if hit:
            raise Killed


class SignallingStore(LocalStore):
    """Sends this process a signal when the file whose path ends so was written."""

    def __init__(self, root: str, ending: str, number: signal.Signals) -> None:
        super().__init__(Path(root))
        self.ending, self.number = ending, number

    def put(self, path: str, data: bytes) -> None:
        super().put(path, data)
        if path.endswith(self.ending):
            os.kill(os.getpid(), self.number)


class UnreachableStore(LocalStore):
    """Cannot be written below `progress/`."""

    def put_file(self, path: str, file: Path) -> None:
        if "/progress/" in path:
            raise StoreError("out of reach")
        super().put_file(path, file)


def test_training_publishes_every_file_and_its_results(workplace: Workplace) -> None:
    specification = workplace.ask(sums(0, 12), sums(20, 3), merge=True)

    assert workplace.run(specification) == DONE

    manifest, results = workplace.manifest(specification), workplace.manifest(specification)["results"]
    files = {file["path"] for file in manifest["files"]}
    assert {path for path in files if not path.startswith("merged/")} == {
        "README.md",
        "adapter/adapter_config.json",
        "adapter/adapter_model.safetensors",
        "metrics.jsonl",
        "tokenizer/chat_template.jinja",
        "tokenizer/tokenizer.json",
        "tokenizer/tokenizer_config.json",
        "trainer_state.json",
    }
    assert {"merged/model.safetensors", "merged/config.json", "merged/tokenizer.json"} <= files
    assert manifest["global_step"] == manifest["max_steps"] == 6
    assert manifest["training_set"] == {"id": specification.data.id, "release": "release"}
    assert results["trained_conversations"] == 12
    assert [point["step"] for point in results["validation"]] == [3, 6]
    assert results["reloaded_loss"] == pytest.approx(results["reference_loss"])
    adapter = json.loads(workplace.store.get(f"{specification.folder}/adapter/adapter_config.json"))
    assert adapter["base_model_name_or_path"] == specification.base.model
    assert workplace.store.list(f"{specification.folder}/progress") == []


def test_a_tiny_model_learns(workplace: Workplace) -> None:
    specification = workplace.ask(sums(0, 16), epochs=8, save_steps=99)

    workplace.run(specification)

    results = workplace.manifest(specification)["results"]
    assert results["last_loss"] < 0.7 * results["first_loss"]


def test_a_job_that_is_done_is_not_done_again(workplace: Workplace) -> None:
    specification = workplace.ask(sums(0, 12))
    workplace.run(specification)
    before = workplace.store.get(f"{specification.folder}/{MANIFEST}")
    assert workplace.run(specification, attempt=2) == DONE
    assert workplace.store.get(f"{specification.folder}/{MANIFEST}") == before


@pytest.mark.parametrize(
    ("ending", "after"),
    [
        ("checkpoint-1/manifest.json", False),
        ("checkpoint-1/manifest.json", True),
        ("checkpoint-3/manifest.json", True),
        ("checkpoint-5/manifest.json", False),
        ("checkpoint-6/manifest.json", True),
    ],
)
def test_a_killed_run_resumes_to_the_same_adapter(workplace: Workplace, ending: str, after: bool) -> None:
    specification = workplace.ask(sums(0, 12), sums(20, 3), lora={"dropout": 0.1})
    workplace.run(specification)
    whole = workplace.adapter(specification)
    workplace.keep_only_the_specification(specification)

    with pytest.raises(Killed):
        workplace.run(specification, store=KillingStore(workplace.root, ending, after))
    assert workplace.run(specification, attempt=2) == DONE

    assert workplace.adapter(specification) == whole


def test_a_resumed_run_continues_its_counts(workplace: Workplace) -> None:
    specification = workplace.ask(sums(0, 12))

    with pytest.raises(Killed):
        workplace.run(specification, store=KillingStore(workplace.root, "checkpoint-4/manifest.json", True))
    workplace.run(specification, attempt=2)

    lines = workplace.store.get(f"{specification.folder}/metrics.jsonl").splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert rows[-1]["tokens"] == 2 * workplace.manifest(specification)["results"]["tokens_an_epoch"]


def test_training_continues_where_a_checkpoint_cannot_be_saved(workplace: Workplace) -> None:
    specification = workplace.ask(sums(0, 12))

    assert workplace.run(specification, store=UnreachableStore(Path(workplace.root))) == DONE


def refuse(workplace: Workplace, specification: Any, code: int = BAD_INPUT) -> str:
    """The message with which the program ends."""
    assert workplace.run(specification) == code
    failure = workplace.failure(specification)
    assert failure["exit"] == code
    return str(failure["message"])


def test_every_fault_of_a_specification_is_named(workplace: Workplace) -> None:
    specification = workplace.ask(sums(0, 12))
    content = specification.model_dump(mode="json")
    content["recipe"] |= {"epochs": 0, "colour": "red"}
    workplace.store.put(f"{specification.folder}/{SPECIFICATION}", json_bytes(content))
    message = refuse(workplace, specification)
    assert "recipe.epochs" in message
    assert "recipe.colour" in message


def test_a_missing_specification_and_missing_or_changed_data_are_named(workplace: Workplace) -> None:
    specification = workplace.ask(sums(0, 12))
    data = specification.data.files["train"][0].path
    workplace.store.put(data, b"other bytes")
    assert "is not the file that was specified" in refuse(workplace, specification)
    workplace.store.delete(data)
    assert data in refuse(workplace, specification)
    workplace.store.delete(f"{specification.folder}/{SPECIFICATION}")
    assert "specification.json is missing" in refuse(workplace, specification)


USELESS = [conversation("Hello", "Hi", trains=[False, False])] * 9


@pytest.mark.parametrize(
    ("train", "recipe", "message"),
    [
        ([], {}, "has 0 usable rows"),
        ([*sums(0, 3), *USELESS], {}, "has 3 usable rows, the recipe wants at least 4; left out: 9 nothing"),
        (sums(0, 12), {"processes": 2}, "torchrun --nproc_per_node 2"),
        (sums(0, 12), {"precision": "bf16"}, "recipe.precision is bf16"),
        (sums(0, 12), {"lora": {"targets": ["no_such_module"]}}, "recipe.lora.targets"),
        (
            sums(0, 40),
            {"learning_rate": 0.999, "max_gradient_norm": 1e30, "epochs": 20, "lora": {"alpha": 10**6}},
            "at step",  # the loss is NaN
        ),
    ],
    ids=["no rows", "too few usable rows", "processes", "bf16", "targets", "loss is NaN"],
)
def test_what_cannot_work_is_refused_with_the_reason(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch, train: list[Any], recipe: dict[str, Any], message: str
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    specification = workplace.ask(train, sums(0, 3) if not train else (), **recipe)
    assert message in refuse(workplace, specification)
    assert not workplace.failure(specification)["retryable"]


@pytest.mark.parametrize(
    ("error", "message", "retryable"),
    [
        (ZeroDivisionError("division by zero"), "ZeroDivisionError", False),
        (StoreError("the lake cannot be reached"), "the lake cannot be reached", True),
        (RuntimeError("Connection closed by peer [10.0.0.1]:80"), "another process of the job was killed", True),
    ],
)
def test_an_unexpected_error_is_described_and_may_be_retryable(
    workplace: Workplace, monkeypatch: pytest.MonkeyPatch, error: Exception, message: str, retryable: bool
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("assets.training_programs.fine_tuning.program.read_rows", fail)
    specification = workplace.ask(sums(0, 12))
    assert message in refuse(workplace, specification, CRASHED)
    assert workplace.failure(specification)["retryable"] == retryable


def wait_for(process: "subprocess.Popen[str]", store: Store, path: str) -> None:
    """Return when the file is there."""
    until(lambda: process.poll() is not None or store.exists(path))
    assert store.exists(path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_run_saves_and_resumes_to_the_same_adapter(workplace: Workplace, number: signal.Signals) -> None:
    specification = workplace.ask(sums(0, 12), sums(20, 3))
    workplace.run(specification)
    whole = workplace.adapter(specification)
    workplace.keep_only_the_specification(specification)

    signalling = SignallingStore(workplace.root, "checkpoint-2/manifest.json", number)
    assert workplace.run(specification, store=signalling) == INTERRUPTED

    assert workplace.store.exists(f"{specification.folder}/progress/checkpoint-3/manifest.json")
    assert workplace.failure(specification)["retryable"]
    assert workplace.run(specification, attempt=2) == DONE
    assert workplace.adapter(specification) == whole


def test_sigkill_at_a_checkpoint_loses_nothing(workplace: Workplace) -> None:
    specification = workplace.ask(sums(0, 60), save_steps=4)
    process = workplace.start(specification)
    wait_for(process, workplace.store, f"{specification.folder}/progress/checkpoint-8/manifest.json")

    process.kill()
    process.communicate()
    assert not workplace.store.exists(f"{specification.folder}/{MANIFEST}")
    assert workplace.run(specification, attempt=2) == DONE

    resumed = workplace.adapter(specification)
    workplace.keep_only_the_specification(specification)
    workplace.run(specification)
    assert workplace.adapter(specification) == resumed


def test_the_program_needs_nothing_of_dagster_but_pipes() -> None:
    blocked = (
        "import sys\n"
        "for name in ('dagster', 'polars', 'pandera', 'duckdb', 'matplotlib'): sys.modules[name] = None\n"
        "import pkgutil, importlib, assets.training_programs.fine_tuning as trainer\n"
        "for module in pkgutil.iter_modules(trainer.__path__, 'assets.training_programs.fine_tuning.'):\n"
        "    importlib.import_module(module.name)\n"
    )

    subprocess.run([sys.executable, "-c", blocked], cwd=PROJECT, check=True)


def test_a_missing_argument_is_named() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MASTER_")}

    done = subprocess.run(
        [sys.executable, "-m", "assets.training_programs.fine_tuning"],
        env=environment,
        cwd=PROJECT,
        capture_output=True,
        text=True,
    )

    assert done.returncode == BAD_INPUT
    assert "MASTER_LAKE_ROOT is not set" in done.stderr
