"""A tiny base model with its tokenizer, and a lake to train it in."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from assets.training_programs.recipe import BaseModel
from tests.trainer_work import Workplace


@pytest.fixture(scope="session")
def make_tokenizer() -> Callable[..., Any]:
    """A small byte-level tokenizer with the given special tokens."""

    def make(*special: str) -> Any:
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
        from transformers import PreTrainedTokenizerFast

        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=list(special),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(["What is one plus one? One plus one is two.\n\nassistant user system"], trainer)
        return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=special[-1])

    return make


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory, make_tokenizer: Callable[..., Any]) -> BaseModel:
    """A Llama-shaped model with random weights, in a local folder."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("tiny-base")
    tokenizer = make_tokenizer("<|im_start|>", "<|im_end|>")
    torch.manual_seed(0)
    configuration = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.3,  # with less its logits can never be far apart
        max_position_embeddings=256,
    )
    LlamaForCausalLM(configuration).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return BaseModel(name="tiny", model=str(folder), template="chatml", context_tokens=256)


@pytest.fixture(autouse=True)
def signals_as_before() -> Iterator[None]:
    """The program sets handlers of its own."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As the processes of the tests: the same sums in the same order, and no threads that wait for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def workplace(tmp_path: Path, tiny_base: BaseModel, one_thread: None) -> Workplace:
    """An empty lake on this machine's disk."""
    return Workplace(str(tmp_path / "lake"), tiny_base)
