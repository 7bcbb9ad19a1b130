"""Gradient features after TAGCOS (arXiv:2407.15235): what a row would do to an adapter, in a few thousand numbers.

A LoRA adapter is warmed up on some of the rows. After each epoch every row's own gradient is scaled as Adam would scale
it, projected by a random matrix of ±1, and brought to length 1; the feature is the mean over the epochs.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from assets.training_programs.gradients.specification import GradientModel

GRADIENTS_BYTES = 2**30  # of gradients in memory: the random matrix is generated again for each block of this size
PART = 512  # rows whose projected gradients are kept together, so that an interrupted run continues after them
BLOCK = 4096  # rows of the random matrix that are there at once
Example = tuple[list[int], list[int]]  # token ids and labels


@dataclass(frozen=True, slots=True)
class ProgressCallbacks:
    """Callbacks that receive the progress."""

    say: Callable[[str], None]
    look: Callable[[], None]  # raises where the run is asked to end


class FeatureCache(Protocol):
    """Projected gradients of an earlier attempt at the same work."""

    def read(self, epoch: int, part: int, rows: int) -> NDArray[np.float16] | None:
        """Those of a part of so many rows after an epoch, (rows, dimensions); None where they were not kept."""

    def write(self, epoch: int, part: int, units: NDArray[np.float16]) -> None:
        """Keep them."""


def gradient_features(
    model: Any,
    examples: Sequence[Example | None],
    settings: GradientModel,
    seed: int,
    bf16: bool,
    into: NDArray[np.float32],
    kept: FeatureCache,
    watch: ProgressCallbacks,
) -> list[float]:
    """Fill `into` (rows × dimensions, zeros) with the feature of each example; the warm-up's mean loss of each epoch.

    Args:
        model: with a fresh LoRA adapter, on the device that computes.
        examples: token ids and labels; None for a row that trains nothing, whose feature stays zero.
        settings: see there.
        seed: of the warm-up's rows and of the projection.
        bf16: whether to compute in bfloat16.
        into: where to.
        kept: what is there already is not computed again; the warm-up is, and draws the same rows.
        watch: see there.
    """
    usable = [place for place, example in enumerate(examples) if example is not None]
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=settings.learning_rate, weight_decay=0.0)
    shuffled = np.random.default_rng(seed).permutation(usable).tolist()
    warm = shuffled[: max(1, math.ceil(settings.warm_up_share * len(usable)))]
    losses = []
    for epoch in range(settings.checkpoints):
        order = np.random.default_rng([seed, epoch]).permutation(warm).tolist()
        losses.append(_warm_up(model, [examples[place] for place in order], optimizer, settings.batch, bf16, watch))
        watch.say(f"warm-up epoch {epoch + 1} of {settings.checkpoints}: loss {losses[-1]:.4f}")
        done = 0
        for part, places in enumerate(_groups(usable, PART)):
            units = kept.read(epoch, part, len(places))
            if units is None:
                chosen = [examples[place] for place in places]
                units = _unit_gradients(model, parameters, optimizer, chosen, settings.dimensions, seed, bf16, watch)
                kept.write(epoch, part, units)
            into[places] += units.astype(np.float32) / settings.checkpoints
            done += len(places)
            watch.say(f"gradients after epoch {epoch + 1}: {done} of {len(usable)} rows")
    return losses


def _unit_gradients(
    model: Any,
    parameters: Sequence[torch.Tensor],
    optimizer: torch.optim.Optimizer,
    examples: Sequence[Example | None],
    dimensions: int,
    seed: int,
    bf16: bool,
    watch: ProgressCallbacks,
) -> NDArray[np.float16]:
    """(examples, dimensions): each one's gradient, scaled, projected and brought to length 1."""
    at_once = max(1, GRADIENTS_BYTES // (4 * sum(parameter.numel() for parameter in parameters)))
    found = []
    for places in _groups(range(len(examples)), at_once):
        scaled = []
        for place in places:
            watch.look()
            scaled.append(_scaled_gradient(model, parameters, optimizer, examples[place], bf16))
        projected = project(torch.stack(scaled), dimensions, seed)
        found.append(torch.nn.functional.normalize(projected, dim=1).cpu().numpy().astype(np.float16))
    return np.concatenate(found)


def _groups(places: Sequence[int], size: int) -> Iterator[list[int]]:
    for start in range(0, len(places), size):
        yield list(places[start : start + size])


def _loss(model: Any, example: Example | None, bf16: bool) -> torch.Tensor:
    """The mean loss of one conversation's trained tokens."""
    assert example is not None  # noqa: S101 - those that train nothing were left out
    device = next(model.parameters()).device
    ids, labels = (torch.tensor([side], device=device) for side in example)
    with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        loss: torch.Tensor = model(input_ids=ids, labels=labels, use_cache=False).loss
    return loss


def _warm_up(
    model: Any,
    examples: Sequence[Example | None],
    optimizer: torch.optim.Optimizer,
    batch: int,
    bf16: bool,
    watch: ProgressCallbacks,
) -> float:
    total = 0.0
    for places in _groups(range(len(examples)), batch):
        watch.look()
        optimizer.zero_grad(set_to_none=True)
        for place in places:
            loss = _loss(model, examples[place], bf16)
            (loss / len(places)).backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return total / len(examples)


def _scaled_gradient(
    model: Any,
    parameters: Sequence[torch.Tensor],
    optimizer: torch.optim.Optimizer,
    example: Example | None,
    bf16: bool,
) -> torch.Tensor:
    """What Adam would do with one row's gradient now, without the learning rate, as one vector."""
    gradients = torch.autograd.grad(_loss(model, example, bf16), list(parameters))
    (first, second), epsilon = optimizer.param_groups[0]["betas"], optimizer.param_groups[0]["eps"]
    parts = []
    for parameter, gradient in zip(parameters, gradients, strict=True):
        state, gradient = optimizer.state[parameter], gradient.float()
        step = int(state["step"]) + 1
        mean = (first * state["exp_avg"] + (1 - first) * gradient) / (1 - first**step)
        square = (second * state["exp_avg_sq"] + (1 - second) * gradient**2) / (1 - second**step)
        parts.append((mean / (square.sqrt() + epsilon)).flatten())
    return torch.cat(parts)


def project(rows: torch.Tensor, dimensions: int, seed: int) -> torch.Tensor:
    """rows × parameters -> rows × dimensions, by a random matrix of ±1 that is never there as a whole.

    The same seed gives the same matrix on the same kind of device; eight signs come from each random byte.

    Args:
        rows: float32.
        dimensions: a multiple of 8.
        seed: of the matrix.
    """
    generator = torch.Generator(rows.device).manual_seed(seed)
    bits = torch.arange(8, device=rows.device, dtype=torch.uint8)
    result = torch.zeros(len(rows), dimensions, device=rows.device)
    for start in range(0, rows.shape[1], BLOCK):
        block = rows[:, start : start + BLOCK]
        drawn = torch.randint(
            0, 256, (block.shape[1], dimensions // 8), dtype=torch.uint8, device=rows.device, generator=generator
        )
        signs = ((drawn.unsqueeze(-1) >> bits) & 1).flatten(1).float().mul_(2).sub_(1)
        result += block @ signs
    return result / math.sqrt(dimensions)
