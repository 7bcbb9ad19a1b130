"""Checks of the newest checkpoints: those of the run's partitions, or all when run by hand."""

import json
import math
from collections.abc import Callable
from functools import cached_property

from dagster import AssetChecksDefinition

from assets.checkpoints.checkpoint import ADAPTER, CHECKPOINTS, MODEL, Checkpoint, CheckpointError, losses_at_ends
from assets.framework.check_files import Check, OffendingRow
from assets.framework.checks import CheckRun, NothingToCheck, asset_checks
from assets.framework.partitions import UNTUNED
from assets.framework.publication import wrong_files
from assets.training_programs.specification import HOME
from assets.training_sets.ablations import tuned_variants
from assets.training_sets.variants import HOME as TRAINING_SETS
from resources.lake.published_folders import MANIFEST
from resources.lake.tables import Lake

ADAPTER_FILES = ("adapter/adapter_config.json", "adapter/adapter_model.safetensors")
NEEDED = {ADAPTER: ADAPTER_FILES, MODEL: ("model/config.json",), None: ()}
Faults = list[str]


def incomplete(lake: Lake, checkpoint: Checkpoint) -> Faults:
    """Files that are missing or are not what the manifest says."""
    files = checkpoint.manifest["files"]
    faults = [f"{fault['file']} {fault['fault']}" for fault in wrong_files(lake, checkpoint.folder, files)]
    listed = {file["path"] for file in files}
    return faults + [f"{path} is not listed" for path in NEEDED[checkpoint.weights] if path not in listed]


def unfinished(lake: Lake, checkpoint: Checkpoint) -> Faults:
    """Training that ended before its last step, as the manifest or the trainer's own state has it."""
    done, planned = checkpoint.manifest["global_step"], checkpoint.manifest["max_steps"]
    if done != planned:
        return [f"stopped at step {done} of {planned}"]
    try:
        state = json.loads(lake.store.get(f"{checkpoint.folder}/trainer_state.json"))["global_step"]
    except (FileNotFoundError, ValueError, KeyError) as error:
        return [f"trainer_state.json cannot be read: {error}"]
    return [] if state == planned else [f"trainer_state.json is of step {state}, not {planned}"]


def unloadable(lake: Lake, checkpoint: Checkpoint) -> Faults:
    """An adapter or model that the trainer did not load again, or that scored otherwise when loaded."""
    reloaded = checkpoint.results.get("reloaded_loss")
    trained = checkpoint.results.get("reference_loss")
    if reloaded is None or trained is None:
        return ["the trainer did not load it again"]
    if not math.isclose(reloaded, trained, rel_tol=1e-2, abs_tol=1e-3):
        return [f"loss {reloaded:.4f} when loaded again, {trained:.4f} when trained"]
    return misshapen(lake, checkpoint) if checkpoint.weights == ADAPTER else []


def misshapen(lake: Lake, checkpoint: Checkpoint) -> Faults:
    """An adapter whose files are not LoRA of the recipe's rank. Only the header of the weights is read."""
    rank, configured, weights = checkpoint.manifest["recipe"]["lora"]["rank"], *ADAPTER_FILES
    try:
        configured_rank = json.loads(lake.store.get(f"{checkpoint.folder}/{configured}"))["r"]
        with lake.store.open(f"{checkpoint.folder}/{weights}") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        shapes = {name: tensor["shape"] for name, tensor in header.items() if name != "__metadata__"}
    except (FileNotFoundError, ValueError, KeyError, TypeError, OverflowError, MemoryError) as error:
        return [f"the adapter's files cannot be read: {error}"]
    faults = [] if configured_rank == rank else [f"{configured} says rank {configured_rank}, the recipe {rank}"]
    halves = {
        half: {
            name.replace(f".lora_{half}.", ".lora."): shape
            for name, shape in shapes.items()
            if f".lora_{half}." in name
        }
        for half in "AB"
    }
    if not halves["A"] or halves["A"].keys() != halves["B"].keys():
        faults.append(f"{len(halves['A'])} lora_A do not go with {len(halves['B'])} lora_B in {weights}")
    ranks = {shape[0] for shape in halves["A"].values()} | {shape[1] for shape in halves["B"].values()}
    return faults + [f"a rank in {weights} is {found}, the recipe's {rank}" for found in sorted(ranks - {rank})]


def no_learning(lake: Lake, checkpoint: Checkpoint) -> Faults:
    """A training loss that is not finite, or not lower at the end than at the start."""
    try:
        first, last = losses_at_ends(lake, checkpoint)
    except CheckpointError as error:
        return [str(error)]
    if math.isnan(first):
        return ["the loss is not finite"]
    return [] if last < first else [f"loss {first:.3f} at the start, {last:.3f} at the end"]


def other_data(lake: Lake, checkpoint: Checkpoint) -> Faults:
    """A training set that is not in the lake, or is of another release than the checkpoint claims."""
    claimed = checkpoint.manifest["training_set"]
    path = f"{TRAINING_SETS}/{checkpoint.variant}/{claimed['id']}/{MANIFEST}"
    try:
        release = json.loads(lake.store.get(path))["release"]
    except FileNotFoundError:
        return [f"{path} is missing"]
    return [] if release == claimed["release"] else [f"{path} is of release {release}, not {claimed['release']}"]


class CheckpointCheckRun(CheckRun):
    """The newest checkpoint of each of the run's partitions."""

    @cached_property
    def checkpoints(self) -> list[Checkpoint]:
        """Raises NothingToCheck where there is none."""
        found = [
            checkpoint
            for base in self.resources["training"].bases
            for variant in (UNTUNED, *tuned_variants(self.resources["scenarios"]))
            if self.keys is None or f"{base.name}|{variant}" in self.keys
            if (checkpoint := CHECKPOINTS.find_latest(self.lake, base.name, variant))
        ]
        if not found:
            raise NothingToCheck("there is no checkpoint yet; materialise checkpoints first")
        return found

    @property
    def partitions(self) -> int:
        """How many checkpoints there are."""
        return len(self.checkpoints)


def _each(look: Callable[[Lake, Checkpoint], Faults], untuned: bool = False) -> Callable[..., list[OffendingRow]]:
    """The faults of every checkpoint, of those that are not tuned only where `untuned`."""

    def find(run: CheckpointCheckRun) -> list[OffendingRow]:
        return [
            {"checkpoint": f"{checkpoint.base}|{checkpoint.variant}", "fault": fault}
            for checkpoint in run.checkpoints
            if untuned or checkpoint.variant != UNTUNED
            for fault in look(run.lake, checkpoint)
        ]

    return find


ALL_CHECKS: list[Check[CheckpointCheckRun]] = [
    Check(
        "complete",
        "Every file of the manifest, with the adapter's files among them, is there with its size and hash.",
        _each(incomplete, untuned=True),
    ),
    Check("all_steps", "Training reached its last step.", _each(unfinished)),
    Check(
        "adapter_loads",
        "The adapter's files are LoRA of the recipe's rank. Loaded onto its base model it gave the trained loss.",
        _each(unloadable),
    ),
    Check("learned", "The training loss is finite and lower at the end than at the start.", _each(no_learning)),
    Check(
        "claimed_release",
        "The training set in the lake is of the release that the checkpoint's manifest names.",
        _each(other_data),
    ),
]

CHECKS: list[AssetChecksDefinition] = [asset_checks(HOME, ALL_CHECKS, CheckpointCheckRun, ["training", "scenarios"])]
