"""What is measured."""

import pytest

torch = pytest.importorskip("torch")

from assets.training_programs.fine_tuning.metrics import flops_per_token, peak_of_device, results_of, rows_of  # noqa: E402

STEP = {
    "step": 1,
    "epoch": 0.5,
    "loss": 2.0,
    "grad_norm": 1.0,
    "gradient_norm": 1.0,
    "learning_rate": 1e-4,
    "num_tokens": 100,
    "tokens": 100,
    "tokens_per_second": 50.0,
    "memory_bytes": 10,
    "mfu": None,
    "busy_seconds": 2.0,
    "waiting_seconds": 0.1,
    "seconds": 3.0,
    "seconds_to_first_step": 1.5,
}
EVALUATED = {"step": 1, "epoch": 0.5, "eval_loss": 1.8, "validation_loss": 1.8, "eval_runtime": 0.1}
END = {"step": 2, "epoch": 1.0, "train_runtime": 3.0, "train_loss": 1.9}


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA H200", 989e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("NVIDIA L40S", 362e12),
        ("NVIDIA L4", 121e12),
        ("NVIDIA A10G", 70e12),
        ("cpu", None),
    ],
)
def test_peaks_are_known_by_the_device_s_name(name: str, peak: float | None) -> None:
    assert peak_of_device(name) == peak


def test_frozen_weights_cost_four_and_trained_ones_six_operations_a_token() -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=50,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=4,
        )
    )
    model.requires_grad_(False)
    model.lm_head.requires_grad_(True)

    counted = sum(weight.numel() for weight in model.parameters()) - 50 * 16  # the look-up costs nothing
    attention = 6 * 2 * 16 * 10
    assert flops_per_token(model, [10, 10]) == 4 * (counted - 50 * 16) + 6 * 50 * 16 + attention


def test_rows_are_the_logged_steps_and_evaluations() -> None:
    assert [sorted(row) for row in rows_of([STEP, EVALUATED, END])] == [
        [
            "epoch",
            "gradient_norm",
            "learning_rate",
            "loss",
            "memory_bytes",
            "mfu",
            "step",
            "tokens",
            "tokens_per_second",
        ],
        ["epoch", "step", "validation_loss"],
    ]


def test_results_name_first_last_and_best() -> None:
    later = {**STEP, "step": 2, "loss": 1.0, "tokens": 200, "busy_seconds": 4.0}
    worse = {**EVALUATED, "step": 2, "validation_loss": 1.9}

    results = results_of([STEP, EVALUATED, later, worse, END])

    assert (results["first_loss"], results["last_loss"]) == (2.0, 1.0)
    assert (results["best_validation_loss"], results["validation_loss"]) == (1.8, 1.9)
    assert results["tokens_per_second"] == 50.0


def test_without_validation_there_is_no_validation_loss() -> None:
    assert results_of([STEP, END])["validation_loss"] is None
