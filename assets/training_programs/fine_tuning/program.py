"""The fine-tuning program: reads the specification, trains, and publishes the result in the lake."""

import json
import platform
import shutil
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

from assets.training_programs.fine_tuning import saving
from assets.training_programs.fine_tuning.base_models import fetch, load_tokenizer
from assets.training_programs.fine_tuning.card import card
from assets.training_programs.fine_tuning.data import Tokenized, read_rows, tokenize
from assets.training_programs.fine_tuning.errors import Stop, TrainingProgramError
from assets.training_programs.fine_tuning.heartbeat import Heartbeat
from assets.training_programs.fine_tuning.nodes import Prepared, prepare_every_node
from assets.training_programs.fine_tuning.pipes import Reporter
from assets.training_programs.fine_tuning.task import Task, read_specification, run_task
from assets.training_programs.fine_tuning.templates import set_chat_template
from assets.training_programs.specification import FORMAT, HOME, Specification
from resources.lake.published_folders import MANIFEST, publish, write_json

# All processes wait while the slowest node downloads the base model, and while the first process copies a checkpoint to
# the lake. NCCL's own limit is 10 minutes, which ends the job.
LONGEST_WAIT = timedelta(hours=2)


def run(task: Task) -> int:
    """Fine-tune as the job's specification says; returns the exit code."""
    return run_task(task, _tune)


def _tune(task: Task, stop: Stop, reporter: Reporter, heartbeat: Heartbeat | None, scratch: Path) -> None:
    """Everything between the specification and the manifest.

    Raises:
        TrainingProgramError: the job cannot be done, or was asked to end.
    """
    from accelerate import PartialState  # type: ignore[import-untyped]
    from torch.cuda import is_available

    _quiet()
    PartialState(cpu=not is_available(), timeout=LONGEST_WAIT)
    prepared = prepare_every_node(task, lambda: prepare(task, scratch, stop, reporter))
    if prepared is not None:
        _train(task, prepared, stop, reporter, heartbeat)


def prepare(task: Task, scratch: Path, stop: Stop, reporter: Reporter) -> Prepared | None:
    """Bring base model, data and the newest checkpoint to this machine; None where the job is done already.

    Raises:
        TrainingProgramError: something is missing, damaged or does not fit.
    """
    specification = read_specification(task, Specification, FORMAT)
    if task.store.exists(f"{task.folder}/{MANIFEST}"):
        reporter.say("done already")
        return None
    recipe, base = specification.recipe, specification.base
    if task.processes != recipe.world_size:
        nodes = f"--nnodes {recipe.nodes} " if recipe.nodes > 1 else ""
        raise TrainingProgramError(
            f"the recipe wants {recipe.world_size} processes, {task.processes} run: start the program with "
            f"`torchrun {nodes}--nproc_per_node {recipe.processes} -m assets.training_programs.fine_tuning`"
        )
    weights = fetch(base, scratch)
    stop.look()
    tokenizer = load_tokenizer(weights)
    set_chat_template(tokenizer, base.template)
    files, form = specification.data.files, specification.data.form
    splits = {
        split: tokenize(read_rows(task.store, files.get(split, ()), form), tokenizer, recipe.max_tokens, form)
        for split in ("train", "validation")
    }
    _require_rows(specification, splits["train"])
    if not splits["validation"].rows:
        reporter.say("there are no validation rows: training without validation loss")
    from datasets import Dataset

    for split, rows in splits.items():
        if rows.rows:
            Dataset.from_list(rows.rows).save_to_disk(str(scratch / split))
    tokenizer.save_pretrained(scratch / "tokenizer")
    stop.look()
    resume = saving.resume(task.store, task.folder, weights.identity, scratch / "resume", reporter.say)
    counts = _counts(splits)
    reporter.say(
        f"{counts['trained_conversations']} rows of {counts['tokens_an_epoch']} tokens to train on, "
        f"{sum(counts['left_out'].values())} left out{_named(splits['train'])}"
        + (f"; resuming from {resume.name}" if resume else "")
    )
    return Prepared(
        specification.model_dump(mode="json"), weights, str(scratch), str(resume) if resume else None, counts
    )


def _require_rows(specification: Specification, train: Tokenized) -> None:
    usable, minimum = len(train.rows), specification.recipe.minimum_rows
    if usable < minimum:
        raise TrainingProgramError(
            f"the train split of {specification.data.variant!r} ({specification.data.id}) has {usable} usable "
            f"rows, the recipe wants at least {minimum}; left out{_named(train) or ': none'}"
        )


def _named(rows: Tokenized) -> str:
    """The conversations that were left out, by reason; empty where there are none."""
    reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(rows.left_out.items()))
    return f": {reasons}" if reasons else ""


def _counts(splits: dict[str, Tokenized]) -> dict[str, Any]:
    train = splits["train"]
    return {
        "trained_conversations": len(train.rows),
        "validation_conversations": len(splits["validation"].rows),
        "left_out": dict(sorted(train.left_out.items())),
        "tokens_an_epoch": train.tokens,
        "trained_tokens": train.trained_tokens,
    }


def _train(task: Task, prepared: Prepared, stop: Stop, reporter: Reporter, heartbeat: Heartbeat | None) -> None:
    """Train in every process; the first one publishes."""
    from datasets import load_from_disk
    from transformers import AutoTokenizer

    from assets.training_programs.fine_tuning import callbacks, metrics, training

    specification = Specification.model_validate(prepared.specification)
    recipe, scratch = specification.recipe, Path(prepared.scratch)
    precision = training.choose_precision(recipe)
    rows = load_from_disk(str(scratch / "train"))
    validation = load_from_disk(str(scratch / "validation")) if (scratch / "validation").exists() else None
    tokenizer = AutoTokenizer.from_pretrained(scratch / "tokenizer")
    model = training.make_base(prepared.weights, recipe, precision)
    training.refuse_unknown_tokens(model, rows)
    untrained = training.untrained_tokens(model, tokenizer, specification.base.template)
    if untrained:
        reporter.say(
            f"the base model has untrained embeddings of {', '.join(untrained)}: it may not end its turns; "
            "use an instruct model or another template"
        )
    callbacks.agree_to_stop(stop)
    stop.look()
    if heartbeat:
        heartbeat.state = "training"
    trainer = training.make_trainer(model, tokenizer, rows, validation, recipe, precision, scratch / "run")
    peak = metrics.peak_of_device(metrics.device_name())
    flops = metrics.flops_per_token(training.model_of(trainer), training.sequence_lengths(rows))
    effort = metrics.ModelFlops(flops, peak * task.processes if peak else None)
    for callback in (
        callbacks.StopCallback(stop),
        callbacks.CheckpointCallback(
            task.store if task.first else None, task.folder, prepared.weights.identity, reporter
        ),
        metrics.MetricsCallback(reporter, heartbeat, effort, task.started),
    ):
        trainer.add_callback(callback)
    state = training.train(trainer, Path(prepared.resume) if prepared.resume else None)
    if state.global_step < state.max_steps:
        stop.look()
        raise TrainingProgramError(f"training ended early, at step {state.global_step} of {state.max_steps}")
    reference = training.mean_loss(trainer.model_wrapped, rows, precision)
    trainer.save_model(str(scratch / "final"))
    trainer.end()  # type: ignore[no-untyped-call]
    if not task.first:
        return
    if heartbeat:
        heartbeat.state = "publishing"
    staged = scratch / "staged"
    if recipe.lora is None:
        shutil.copytree(
            scratch / "final", staged / "model", ignore=shutil.ignore_patterns("training_args.bin", "README.md")
        )
    else:
        _stage_adapter(scratch / "final", staged / "adapter", specification)
    model = training.reload(trainer, staged, prepared.weights, recipe, precision)
    losses = {"reference_loss": reference, "reloaded_loss": training.mean_loss(model, rows, precision)}
    if recipe.merge:
        training.merge(model, staged / "merged")
        shutil.copytree(scratch / "tokenizer", staged / "merged", dirs_exist_ok=True)
    measured = {**losses, "precision": "bf16" if precision.bf16 else "fp32"}
    _publish(task, specification, prepared, state, measured, reporter)


def _publish(
    task: Task,
    specification: Specification,
    prepared: Prepared,
    state: Any,
    further: dict[str, Any],
    reporter: Reporter,
) -> None:
    """Publish the staged adapter with tokenizer, state, metrics, model card and, last, the manifest."""
    from assets.training_programs.fine_tuning import metrics

    scratch = Path(prepared.scratch)
    staged = scratch / "staged"
    shutil.copytree(scratch / "tokenizer", staged / "tokenizer")
    state.save_to_json(str(staged / "trainer_state.json"))
    (staged / "metrics.jsonl").write_bytes(metrics.as_lines(metrics.rows_of(state.log_history)))
    manifest = {
        "format": FORMAT,
        "kind": HOME,
        "id": specification.id,
        "base": specification.base.model_dump(mode="json"),
        "base_weights": prepared.weights.identity,
        "variant": specification.variant,
        "training_set": {"id": specification.data.id, "release": specification.data.release},
        "recipe": specification.recipe.model_dump(mode="json"),
        "global_step": state.global_step,
        "max_steps": state.max_steps,
        "results": {
            **metrics.results_of(state.log_history),
            **prepared.data,
            **further,
            "device": metrics.device_name(),
            "processes": task.processes,
        },
        "versions": versions(),
        "image": specification.image,
        "attempts": task.attempt,
    }
    (staged / "README.md").write_text(card(manifest), encoding="utf-8")
    publish(task.store, staged, task.folder, manifest)
    reporter.say(f"done: {task.store.uri(task.folder)}")
    reporter.report({"kind": "done", "folder": task.folder, "id": specification.id})
    saving.delete_all(task.store, task.folder)


def _stage_adapter(source: Path, target: Path, specification: Specification) -> None:
    """The adapter's two files, naming the base model as the specification does and not where this machine had it."""
    target.mkdir(parents=True)
    shutil.copy(source / "adapter_model.safetensors", target)
    configuration = json.loads((source / "adapter_config.json").read_text(encoding="utf-8"))
    configuration |= {
        "base_model_name_or_path": specification.base.model,
        "revision": specification.base.revision,
        "target_modules": sorted(configuration["target_modules"]),  # peft writes them in a set's order
    }
    write_json(target / "adapter_config.json", configuration)


def versions() -> dict[str, str]:
    """Versions of Python and of the libraries that compute."""
    names = ("torch", "transformers", "trl", "peft", "accelerate", "tokenizers")
    return {"python": platform.python_version()} | {name: version(name) for name in names}


def _quiet() -> None:
    """Libraries log errors only."""
    import datasets
    import transformers

    datasets.disable_progress_bars()
    transformers.utils.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
