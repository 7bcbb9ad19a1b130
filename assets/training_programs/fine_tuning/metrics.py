"""What is measured while training goes on."""

import json
import math
import re
import resource
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from assets.training_programs.fine_tuning.errors import TrainingProgramError
from assets.training_programs.fine_tuning.heartbeat import Heartbeat
from assets.training_programs.fine_tuning.pipes import Reporter

LINE_SECONDS = 15.0  # between two lines of the log
# Dense bf16 peaks in FLOP/s, from the makers' data sheets.
PEAKS = {
    "H200": 989e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L20": 119.5e12,
    "L4": 121e12,
    "A10G": 70e12,
}
ROW = (
    "loss",
    "validation_loss",
    "learning_rate",
    "gradient_norm",
    "tokens",
    "tokens_per_second",
    "memory_bytes",
    "mfu",
    "reward_margin",
    "reward_accuracy",
)
# What TRL logs of preference pairs and labelled answers, and how metrics.jsonl names it.
REWARDS = {"rewards/margins": "reward_margin", "rewards/accuracies": "reward_accuracy"}


class NotFinite(TrainingProgramError):
    """The loss or the gradient is no number any more."""


@dataclass(frozen=True, slots=True)
class ModelFlops:
    """What a token costs, and what the devices could do."""

    flops_per_token: float
    peak: float | None  # FLOP/s of all devices together, where known


def flops_per_token(model: torch.nn.Module, lengths: Sequence[int]) -> float:
    """Floating-point operations that LoRA needs for a token of training, recomputation left out.

    Frozen weights cost 2 forward and 2 backward (no gradient of their own), trained ones 2 and 4; the embedding's
    look-up costs none. Causal attention costs 2·s·d a layer forward on average and twice that backward.

    Args:
        model: with its adapter.
        lengths: of the sequences, in tokens.
    """
    unused = {id(model.get_input_embeddings().weight)} - {id(model.get_output_embeddings().weight)}  # type: ignore[operator]
    weights = [parameter for parameter in model.parameters() if id(parameter) not in unused]
    trained = sum(parameter.numel() for parameter in weights if parameter.requires_grad)
    frozen = sum(parameter.numel() for parameter in weights) - trained
    config: Any = model.config.get_text_config()  # type: ignore[operator,union-attr]
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    width = config.num_hidden_layers * config.num_attention_heads * head
    mean_length = sum(length * length for length in lengths) / max(1, sum(lengths))
    return float(4 * frozen + 6 * trained + 6 * width * mean_length)


def peak_of_device(name: str) -> float | None:
    """Dense bf16 FLOP/s of a GPU by its name; None where it is not known."""
    return next((PEAKS[word] for word in re.split(r"[\s-]+", name) if word in PEAKS), None)


def device_name() -> str:
    """The GPU's name, or `cpu`."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


def peak_memory() -> int:
    """Bytes: the GPU's where there is one, else the process's."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class MetricsCallback(TrainerCallback):
    """Adds speed and memory to each logged step, reports it to the run, and stops at NaN or infinity.

    What it adds goes into the trainer's state, so that a resumed run continues the count.
    """

    def __init__(self, reporter: Reporter, heartbeat: Heartbeat | None, effort: ModelFlops, started: float) -> None:
        """
        Args:
            reporter: receives the metrics.
            heartbeat: gets each step; None in all processes but the first.
            effort: for the MFU.
            started: `time.monotonic()` of the program's start.
        """
        self._reporter, self._heartbeat, self._effort, self._started = reporter, heartbeat, effort, started
        self._since = self._step_began = 0.0  # the end of the last thing that was not training
        self._busy = self._waiting = 0.0  # seconds of training, and those of it spent waiting for data
        self._logged = (0, 0.0)  # tokens of this attempt and busy seconds at the last logged step
        self._before: Mapping[str, Any] = {}  # the last logged step of the attempt before
        self._first_step: float | None = None
        self._line_at = 0.0

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._before = next((entry for entry in reversed(state.log_history) if "tokens" in entry), {})
        self._since = time.monotonic()

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._waiting += time.monotonic() - self._since

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        now = time.monotonic()
        self._busy += now - self._since
        self._since = now
        if self._first_step is None:
            self._first_step = now - self._started
        if self._heartbeat:
            self._heartbeat.step = state.global_step

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._since = time.monotonic()

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._since = time.monotonic()

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> None:
        entry = state.log_history[-1]
        if "eval_loss" in entry:
            entry["validation_loss"] = entry["eval_loss"]
        elif "loss" in entry:
            self._measure(entry)
        else:
            return
        for name in ("loss", "gradient_norm", "validation_loss"):
            if name in entry and not math.isfinite(entry[name]):
                raise NotFinite(
                    f"{name.replace('_', ' ')} is {entry[name]} at step {state.global_step}: lower the recipe's "
                    "learning_rate, lengthen its warmup, or look at the rows of that step"
                )
        self._tell(entry, state)

    def _measure(self, entry: dict[str, Any]) -> None:
        tokens, seconds = int(entry["num_tokens"]), self._busy
        spent = max(seconds - self._logged[1], 1e-9)
        speed = (tokens - self._logged[0]) / spent
        self._logged = (tokens, seconds)
        entry |= {
            "gradient_norm": entry["grad_norm"],
            "tokens": tokens + self._before.get("tokens", 0),
            "tokens_per_second": round(speed, 2),
            "memory_bytes": peak_memory(),
            "mfu": round(speed * self._effort.flops_per_token / self._effort.peak, 4) if self._effort.peak else None,
            "busy_seconds": round(seconds + self._before.get("busy_seconds", 0), 3),
            "waiting_seconds": round(self._waiting + self._before.get("waiting_seconds", 0), 3),
            "seconds": round(time.monotonic() - self._started + self._before.get("seconds", 0), 3),
            "seconds_to_first_step": round(self._first_step or 0, 3),
            **{name: entry[logged] for logged, name in REWARDS.items() if logged in entry},
        }

    def _tell(self, entry: Mapping[str, Any], state: TrainerState) -> None:
        self._reporter.report({"kind": "metrics", "max_steps": state.max_steps, **row_of(entry)})
        now = time.monotonic()
        first_or_last = state.global_step in (1, state.max_steps)
        if "validation_loss" in entry:
            self._reporter.say(f"step {state.global_step}/{state.max_steps}: validation loss {entry['eval_loss']:.4f}")
        elif first_or_last or now - self._line_at >= LINE_SECONDS:
            self._line_at = now
            self._reporter.say(
                f"step {state.global_step}/{state.max_steps}: loss {entry['loss']:.4f}, "
                f"{entry['tokens_per_second']:,.0f} tokens/s, {entry['memory_bytes'] / 2**30:.2f} GiB"
            )


def row_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A logged step as metrics.jsonl has it."""
    return {"step": entry["step"], "epoch": entry["epoch"]} | {name: entry[name] for name in ROW if name in entry}


def rows_of(history: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The logged steps of a trainer's state, without what else it notes."""
    return [row_of(entry) for entry in history if "tokens" in entry or "validation_loss" in entry]


def as_lines(rows: Iterable[Mapping[str, Any]]) -> bytes:
    """metrics.jsonl."""
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def results_of(history: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the logged steps say of the whole training."""
    steps = [entry for entry in history if "tokens" in entry]
    validation = [
        {"step": entry["step"], "loss": entry["validation_loss"]} for entry in history if "validation_loss" in entry
    ]
    last = steps[-1]
    speeds = last["tokens"] / max(last["busy_seconds"], 1e-9)
    mfus = [entry["mfu"] for entry in steps if entry.get("mfu")]
    return {
        "first_loss": steps[0]["loss"],
        "last_loss": last["loss"],
        "validation_loss": validation[-1]["loss"] if validation else None,
        "best_validation_loss": min(point["loss"] for point in validation) if validation else None,
        "validation": validation,
        "tokens": last["tokens"],
        "seconds": last["seconds"],
        "busy_seconds": last["busy_seconds"],
        "waiting_seconds": last["waiting_seconds"],
        "seconds_to_first_step": last["seconds_to_first_step"],
        "tokens_per_second": round(speeds, 2),
        "peak_memory_bytes": max(entry["memory_bytes"] for entry in steps),
        "mfu": round(sum(mfus) / len(mfus), 4) if mfus else None,
        **{name: last[name] for name in REWARDS.values() if name in last},
    }
