"""Packing leaves what is learnt as it is."""

import pytest

from assets.training_programs.fine_tuning.errors import DONE
from tests.trainer_work import Workplace, conversation, sums

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_no_conversation_sees_another_in_its_packed_row(workplace: Workplace, attention: str) -> None:
    from transformers import AutoModelForCausalLM
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    model = AutoModelForCausalLM.from_pretrained(workplace.base.model, attn_implementation=attention)
    rows = [[5, 9, 13, 40], [7, 7, 8], [30, 31, 32, 33, 34, 35]]
    flat = [token for row in rows for token in row]
    packed = {"input_ids": flat, "labels": flat, "seq_lengths": [len(row) for row in rows]}
    batch = DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)([packed])
    batch.pop("labels")

    with torch.no_grad():
        together = model(**batch, use_cache=False).logits[0]
        alone = torch.cat([model(input_ids=torch.tensor([row])).logits[0] for row in rows])

    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


def losses(workplace: Workplace, **recipe: object) -> list[float]:
    """Of each step, over conversations that fit into one row of 256 tokens."""
    rows = [*sums(0, 6), conversation("Why?", "Because it is so.", "And then?", "Nothing.")]
    specification = workplace.ask(rows, epochs=3, max_tokens=256, save_steps=99, **recipe)
    assert workplace.run(specification) == DONE
    return workplace.losses(specification)


def test_a_packed_row_trains_as_its_conversations_do_in_one_batch(workplace: Workplace) -> None:
    packed = losses(workplace, batch_size=1, effective_batch=1, packing=True)

    assert packed == pytest.approx(losses(workplace, batch_size=7, effective_batch=7), rel=1e-4)


def test_accumulated_batches_train_as_one(workplace: Workplace) -> None:
    accumulated = losses(workplace, batch_size=1, effective_batch=7)

    assert accumulated == pytest.approx(losses(workplace, batch_size=7, effective_batch=7), rel=1e-4)


def test_recomputed_activations_train_as_kept_ones(workplace: Workplace) -> None:
    recomputed = losses(workplace, batch_size=7, effective_batch=7, gradient_checkpointing=True)

    assert recomputed == pytest.approx(losses(workplace, batch_size=7, effective_batch=7), rel=1e-4)
