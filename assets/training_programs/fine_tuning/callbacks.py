"""What happens in every process after a step and with a checkpoint."""

from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState  # type: ignore[import-untyped]
from accelerate.utils import gather_object  # type: ignore[import-untyped]
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from assets.training_programs.fine_tuning import saving
from assets.training_programs.fine_tuning.errors import Stop
from assets.training_programs.fine_tuning.pipes import Reporter
from resources.lake.store import Store


class CheckpointCallback(TrainerCallback):
    """Copies each checkpoint to the lake. Training continues where that fails."""

    def __init__(self, store: Store | None, folder: str, weights: str, reporter: Reporter) -> None:
        """
        Args:
            store: the lake; None in all processes but the first.
            folder: of the job.
            weights: identity of the base model's weights.
            reporter: gets a line for each failure.
        """
        self._store, self._folder, self._weights, self._reporter = store, folder, weights, reporter

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        checkpoint = Path(str(args.output_dir)) / f"checkpoint-{state.global_step}"
        if args.world_size > 1:
            gather_random_states(checkpoint, args.process_index)
        if self._store is None:
            return
        try:
            saving.save(self._store, self._folder, self._weights, checkpoint)
        except Exception as error:
            if not saving.is_unreachable(error):
                raise
            self._reporter.say(f"{checkpoint.name} was not saved in the lake: {error}")


def gather_random_states(checkpoint: Path, rank: int) -> None:
    """Copy the random states, which each process writes to its own node, to the first process's."""
    file = checkpoint / f"rng_state_{rank}.pth"
    for name, content in gather_object([(file.name, file.read_bytes())]):
        if rank == 0 and name != file.name:
            (checkpoint / name).write_bytes(content)


def agree_to_stop(stop: Stop) -> None:
    """Ask every process to end where any was asked, so that they all end at the same point."""
    if torch.distributed.is_initialized():
        code = torch.tensor(stop.code, device=PartialState().device)
        torch.distributed.all_reduce(code, torch.distributed.ReduceOp.MAX)
        if int(code):
            stop.ask(int(code), "another process was asked to end")


class StopCallback(TrainerCallback):
    """Ends training with a checkpoint after the step in which any process was asked to end."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        agree_to_stop(self._stop)
        if self._stop.asked:
            control.should_save = control.should_training_stop = True
            control.should_evaluate = False
