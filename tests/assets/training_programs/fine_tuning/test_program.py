"""The program from the specification to the manifest."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from assets.training_programs.fine_tuning.faults import BAD_INPUT, CRASHED, DONE, INTERRUPTED
from resources.lake.published_folders import MANIFEST, json_bytes
from resources.lake.store import LocalStore, Store, StoreError
from resources.training_jobs.job import SPECIFICATION
from tests.trainer_work import PROJECT, Workplace, conversation, sums
from tests.waiting import until


class Killed(BaseException):
    """Ends the program where it stands, as SIGKILL does."""


class DeadlyStore(LocalStore):
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


class AskingStore(LocalStore):
    """Sends this process a signal when the file whose path ends so was written."""

    def __init__(self, root: str, ending: str, number: signal.Signals) -> None:
        super().__init__(Path(root))
        self.ending, self.number = ending, number

    def put(self, path: str, data: bytes) -> None:
        super().put(path, data)
        if path.endswith(self.ending):
            os.kill(os.getpid(), self.number)


class CutOffStore(LocalStore):
    """Cannot be written below `progress/`."""

    def put_file(self, path: str, file: Path) -> None:
        if "/progress/" in path:
            raise StoreError("out of reach")
        super().put_file(path, file)


def test_training_leaves_the_whole_layout_with_hashes(workplace: Workplace) -> None:
    specification = workplace.ask(sums(0, 12), sums(20, 3))

    assert workplace.run(specification) == DONE

    manifest = workplace.manifest(specification)
    assert {file["path"] for file in manifest["files"]} == {
        "README.md",
        "adapter/adapter_config.json",
        "adapter/adapter_model.safetensors",
        "metrics.jsonl",
        "tokenizer/chat_template.jinja",
        "tokenizer/tokenizer.json",
        "tokenizer/tokenizer_config.json",
        "trainer_state.json",
    }
    assert manifest["global_step"] == manifest["max_steps"] == 6
    assert manifest["training_set"] == {"id": specification.data.id, "release": "release"}


def test_results_tell_what_was_trained(workplace: Workplace) -> None:
    specification = workplace.ask(sums(0, 12), sums(20, 3))

    workplace.run(specification)

    results = workplace.manifest(specification)["results"]
    assert results["trained_conversations"] == 12
    assert [point["step"] for point in results["validation"]] == [3, 6]
    assert results["reloaded_loss"] == pytest.approx(results["reference_loss"])


def test_the_adapter_names_its_base_as_the_specification_does(workplace: Workplace) -> None:
    specification = workplace.ask(sums(0, 12))

    workplace.run(specification)

    told = json.loads(workplace.store.get(f"{specification.folder}/adapter/adapter_config.json"))
    assert told["base_model_name_or_path"] == specification.base.model


def test_the_merged_model_is_left_where_asked_for(workplace: Workplace) -> None:
    specification = workplace.ask(sums(0, 12), merge=True)

    workplace.run(specification)

    files = {file["path"] for file in workplace.manifest(specification)["files"]}
    assert {"merged/model.safetensors", "merged/config.json", "merged/tokenizer.json"} <= files


def test_a_tiny_model_learns(workplace: Workplace) -> None:
    specification = workplace.ask(sums(0, 16), epochs=8, save_steps=99)

    workplace.run(specification)

    results = workplace.manifest(specification)["results"]
    assert results["last_loss"] < 0.7 * results["first_loss"]


def test_what_is_done_is_not_done_again(workplace: Workplace) -> None:
    specification = workplace.ask(sums(0, 12))
    workplace.run(specification)
    before = workplace.store.get(f"{specification.folder}/{MANIFEST}")

    assert workplace.run(specification, attempt=2) == DONE

    assert workplace.store.get(f"{specification.folder}/{MANIFEST}") == before


def test_no_checkpoints_are_left_behind(workplace: Workplace) -> None:
    specification = workplace.ask(sums(0, 12))

    workplace.run(specification)

    assert workplace.store.list(f"{specification.folder}/progress") == []


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
def test_a_killed_run_goes_on_to_the_same_adapter(workplace: Workplace, ending: str, after: bool) -> None:
    specification = workplace.ask(sums(0, 12), sums(20, 3), lora={"dropout": 0.1})
    workplace.run(specification)
    whole = workplace.adapter(specification)
    workplace.forget_all_but_the_question(specification)

    with pytest.raises(Killed):
        workplace.run(specification, store=DeadlyStore(workplace.root, ending, after))
    assert workplace.run(specification, attempt=2) == DONE

    assert workplace.adapter(specification) == whole


def test_a_resumed_run_goes_on_counting(workplace: Workplace) -> None:
    specification = workplace.ask(sums(0, 12))

    with pytest.raises(Killed):
        workplace.run(specification, store=DeadlyStore(workplace.root, "checkpoint-4/manifest.json", True))
    workplace.run(specification, attempt=2)

    lines = workplace.store.get(f"{specification.folder}/metrics.jsonl").splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert rows[-1]["tokens"] == 2 * workplace.manifest(specification)["results"]["tokens_an_epoch"]


def test_a_checkpoint_that_cannot_be_saved_is_missed(workplace: Workplace) -> None:
    specification = workplace.ask(sums(0, 12))

    assert workplace.run(specification, store=CutOffStore(Path(workplace.root))) == DONE


def refuse(workplace: Workplace, specification: Any, code: int = BAD_INPUT) -> str:
    """The message with which the program ends."""
    assert workplace.run(specification) == code
    failure = workplace.failure(specification)
    assert failure["exit"] == code
    return str(failure["message"])


def test_without_specification_nothing_is_done(workplace: Workplace) -> None:
    specification = workplace.ask(sums(0, 12))
    workplace.store.delete(f"{specification.folder}/{SPECIFICATION}")

    assert "specification.json is missing" in refuse(workplace, specification)


def test_every_fault_of_a_specification_is_named(workplace: Workplace) -> None:
    specification = workplace.ask(sums(0, 12))
    content = specification.model_dump(mode="json")
    content["recipe"] |= {"epochs": 0, "colour": "red"}
    workplace.store.put(f"{specification.folder}/{SPECIFICATION}", json_bytes(content))

    message = refuse(workplace, specification)

    assert "recipe.epochs" in message
    assert "recipe.colour" in message


def test_a_changed_data_file_is_refused(workplace: Workplace) -> None:
    specification = workplace.ask(sums(0, 12))
    workplace.store.put(specification.data.files["train"][0].path, b"other bytes")

    assert "is not the file that was specified" in refuse(workplace, specification)


def test_a_missing_data_file_is_named(workplace: Workplace) -> None:
    specification = workplace.ask(sums(0, 12))
    workplace.store.delete(specification.data.files["train"][0].path)

    assert specification.data.files["train"][0].path in refuse(workplace, specification)


def test_an_empty_train_split_is_refused(workplace: Workplace) -> None:
    specification = workplace.ask([], sums(0, 3))

    assert "has 0 usable conversations" in refuse(workplace, specification)


def test_too_few_usable_conversations_are_refused_with_the_reasons(workplace: Workplace) -> None:
    useless = [conversation("Hello", "Hi", trains=[False, False])] * 9
    specification = workplace.ask([*sums(0, 3), *useless])

    assert "has 3 usable conversations" in refuse(workplace, specification)
    assert "9 nothing to train on" in refuse(workplace, specification)


def test_a_loss_that_is_no_number_ends_training_at_once(workplace: Workplace) -> None:
    specification = workplace.ask(
        sums(0, 40), learning_rate=0.999, max_gradient_norm=1e30, epochs=20, lora={"alpha": 10**6}
    )

    message = refuse(workplace, specification)

    assert "at step" in message
    assert not workplace.failure(specification)["retryable"]


def test_another_number_of_processes_than_the_recipe_says_is_refused(workplace: Workplace) -> None:
    specification = workplace.ask(sums(0, 12), processes=2)

    assert "torchrun --nproc_per_node 2" in refuse(workplace, specification)


def test_bf16_is_refused_where_the_hardware_has_none(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    specification = workplace.ask(sums(0, 12), precision="bf16")

    assert "recipe.precision is bf16" in refuse(workplace, specification)


def test_targets_that_the_model_lacks_are_refused(workplace: Workplace) -> None:
    specification = workplace.ask(sums(0, 12), lora={"targets": ["no_such_module"]})

    assert "recipe.lora.targets" in refuse(workplace, specification)


def test_an_unknown_fault_is_told_with_its_last_lines(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assets.training_programs.fine_tuning.program.fetch", lambda *_: 1 / 0)

    assert "ZeroDivisionError" in refuse(workplace, workplace.ask(sums(0, 12)), CRASHED)


def test_a_lake_out_of_reach_is_worth_another_try(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object) -> None:
        raise StoreError("the lake cannot be reached")

    specification = workplace.ask(sums(0, 12))
    monkeypatch.setattr("assets.training_programs.fine_tuning.program.read_rows", unreachable)

    assert refuse(workplace, specification, CRASHED) == "the lake cannot be reached"
    assert workplace.failure(specification)["retryable"]


def wait_for(process: "subprocess.Popen[str]", store: Store, path: str) -> None:
    """Return when the file is there."""
    until(lambda: process.poll() is not None or store.exists(path))
    assert store.exists(path)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_asked_to_end_saves_and_goes_on_to_the_same_adapter(
    workplace: Workplace, number: signal.Signals
) -> None:
    specification = workplace.ask(sums(0, 12), sums(20, 3))
    workplace.run(specification)
    whole = workplace.adapter(specification)
    workplace.forget_all_but_the_question(specification)

    asking = AskingStore(workplace.root, "checkpoint-2/manifest.json", number)
    assert workplace.run(specification, store=asking) == INTERRUPTED

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
    workplace.forget_all_but_the_question(specification)
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


def test_two_processes_train_the_same_effective_batch(workplace: Workplace) -> None:
    specification = workplace.ask(sums(0, 16), sums(20, 3), processes=2, batch_size=1)

    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*command, "-m", "assets.training_programs.fine_tuning"],
        env=workplace.environment(specification) | {"CUDA_VISIBLE_DEVICES": ""},
        cwd=PROJECT,
        capture_output=True,
        text=True,
    )

    assert done.returncode == DONE, done.stderr
    manifest = workplace.manifest(specification)
    assert manifest["max_steps"] == 8
    assert manifest["results"]["processes"] == 2


def test_what_is_missing_on_the_command_line_is_said() -> None:
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
