"""The embedded model with an adapter merged in: llama.cpp answers like transformers and PEFT."""

import json
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resources.lake.opening import open_store
from resources.model_servers.embedded.servers import lease_chat_server
from resources.model_servers.embedded.weights import packaged_chat_model_file
from resources.model_servers.tuned.merge_adapter import (
    NotMergeable,
    as_llama_cpp_orders,
    merged_model,
    read_updates,
    served_template,
)

TEMPLATE = (Path(__file__).parents[4] / "assets/training_programs/fine_tuning/templates/chatml.jinja").read_text()
QUESTIONS = ("What is the capital of France?", "How much is 3 plus 4?")
PROMPT = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
LEARNED = "Blue bananas sing."
TOKENS = 12


@dataclass(frozen=True)
class Answers:
    """Answers to the questions by llama.cpp and by transformers with PEFT, each before and after training."""

    llama_cpp: tuple[list[str], list[str]]
    transformers: tuple[list[str], list[str]]
    whole: list[str]  # by llama.cpp with all weights replaced by those of the tuned model


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory, embedded_folders: None) -> Answers:
    """Answers before and after a few training steps on one sentence with LoRA on every linear layer."""
    torch = pytest.importorskip("torch")
    peft = pytest.importorskip("peft")
    torch.manual_seed(0)
    torch.set_num_threads(1)  # with other load on the cores, threads wait for each other
    root = tmp_path_factory.mktemp("store")
    store = open_store(str(root))
    model = transformers_model()
    with (
        merged_model(store, None, TEMPLATE, "untuned") as file,
        lease_chat_server(str(file), 256, 1, idle_seconds=0.5) as address,
    ):
        server = address.removesuffix("/v1")

        def ids(text: str) -> Any:
            return torch.tensor([post(f"{server}/tokenize", {"content": text, "parse_special": True})["tokens"]])

        def generated(model: Any) -> list[str]:
            texts = []
            for question in QUESTIONS:
                prompt = ids(PROMPT.format(question))
                with torch.no_grad():
                    given = model.generate(
                        input_ids=prompt, max_new_tokens=TOKENS, do_sample=False, eos_token_id=2, pad_token_id=2
                    )
                tokens = [token for token in given[0, prompt.shape[1] :].tolist() if token != 2]
                texts.append(post(f"{server}/detokenize", {"tokens": tokens})["content"])
            return texts

        before = [answered(address, question) for question in QUESTIONS], generated(model)
        conversation = ids(f"{PROMPT.format(QUESTIONS[0])}{LEARNED}<|im_end|>\n")
        lora = peft.LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM")
        learner = peft.get_peft_model(model, lora)
        optimizer = torch.optim.AdamW(learner.parameters(), lr=2e-3)
        for _ in range(8):
            learner(input_ids=conversation, labels=conversation).loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        learner.save_pretrained(str(root / "adapter"))
        after = generated(learner.eval())
    with (
        merged_model(store, "adapter", TEMPLATE, "tuned") as file,
        lease_chat_server(str(file), 256, 1, idle_seconds=0.5) as address,
    ):
        tuned = [answered(address, question) for question in QUESTIONS]
    learner.merge_and_unload().save_pretrained(str(root / "whole"))
    with (
        merged_model(store, None, TEMPLATE, "whole", "whole") as file,
        lease_chat_server(str(file), 256, 1, idle_seconds=0.5) as address,
    ):
        whole = [answered(address, question) for question in QUESTIONS]
    return Answers((before[0], tuned), (before[1], after), whole)


def transformers_model() -> Any:
    """The packaged weights in a model of transformers, whose own GGUF reader takes half a minute."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    import gguf
    from gguf.quants import dequantize
    from transformers.initialization import no_init_weights

    heads = {"attn_q": 9, "attn_k": 3}
    config = transformers.LlamaConfig(
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=heads["attn_q"],
        num_key_value_heads=heads["attn_k"],
        vocab_size=49152,
        max_position_embeddings=8192,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 100000.0},
        tie_word_embeddings=True,
    )
    with no_init_weights():
        model = transformers.LlamaForCausalLM(config)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config.num_hidden_layers)
    weights = {}
    for tensor in gguf.GGUFReader(packaged_chat_model_file()).tensors:
        weight = dequantize(tensor.data, tensor.tensor_type)
        kind = tensor.name.split(".")[-2]
        if kind in heads:
            rows = weight.shape[0]
            weight = weight.reshape(heads[kind], rows // heads[kind] // 2, 2, -1).swapaxes(1, 2).reshape(weight.shape)
        weights[tensor.name] = torch.tensor(weight)
    own = {
        name: weights[f"{names.get_name(name, try_suffixes=('.weight',)).removesuffix('.weight')}.weight"]
        for name in model.state_dict()
        if name != "lm_head.weight"
    }
    model.load_state_dict(own, strict=False)
    model.tie_weights()
    return model.eval()


def answered(address: str, question: str) -> str:
    """The server's greedy answer."""
    body = {"messages": [{"role": "user", "content": question}], "temperature": 0, "max_tokens": TOKENS}
    text: str = post(f"{address}/chat/completions", body)["choices"][0]["message"]["content"]
    return text


def post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=300) as answer:  # noqa: S310
        found: dict[str, Any] = json.load(answer)
        return found


@pytest.mark.embedded
@pytest.mark.parametrize("trained", [0, 1], ids=["without an adapter", "with an adapter"])
def test_llama_cpp_answers_like_transformers_and_peft(answers: Answers, trained: int) -> None:
    assert answers.llama_cpp[trained] == answers.transformers[trained]
    assert (LEARNED in answers.llama_cpp[trained][0]) == bool(trained)


@pytest.mark.embedded
def test_the_last_user_removes_the_merged_file(tmp_path: Path, embedded_folders: None) -> None:
    with merged_model(open_store(str(tmp_path)), None, TEMPLATE, "held") as file:
        assert file.is_file()
    assert not file.exists()


def test_rows_of_a_head_are_reordered_for_llama_cpp() -> None:
    rows = np.arange(8, dtype=np.float32)[:, None]  # two heads of four rows
    assert as_llama_cpp_orders(rows, 2)[:, 0].tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


@pytest.mark.parametrize(
    ("change", "odd"), [({"use_dora": True}, "use_dora"), ({"peft_type": "IA3"}, "IA3"), ({"bias": "all"}, "LORA")]
)
def test_an_adapter_that_is_not_plain_lora_is_refused(tmp_path: Path, change: dict[str, Any], odd: str) -> None:
    config = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "bias": "none", **change}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(NotMergeable, match=odd):
        read_updates(open_store(str(tmp_path.parent)), tmp_path.name)


def test_a_served_template_has_no_generation_tags() -> None:
    assert "generation -%}" not in served_template(TEMPLATE)
    assert "add_generation_prompt" in served_template(TEMPLATE)


def test_a_model_whose_weights_were_all_tuned_answers_as_the_same_adapter_does(answers: Answers) -> None:
    assert answers.whole == answers.llama_cpp[1]
