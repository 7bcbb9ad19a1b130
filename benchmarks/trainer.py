"""The trainer program beside a plain TRL script: the same base, conversations and settings, in the same run.

    python -m benchmarks.trainer                         a small Llama with random weights, on what is there
    python -m benchmarks.trainer --shape smollm2         the embedded SmolLM2
    python -m benchmarks.trainer --shape 8b --batch-size 8 [--packing]
                                                         Llama-3-8B's shape with random weights, for a big GPU

Each side is a process of its own, and they take turns. Tokens a second are counted over all optimiser steps, the first
one included, evaluation and saving left out; the best of the repetitions counts. Peak memory is the GPU's, else the
process's.
"""

import argparse
import hashlib
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

STARTED = time.monotonic()
sys.path.insert(0, str(Path(__file__).parents[1]))

SHAPES: dict[str, dict[str, Any]] = {
    "small": {
        "vocab_size": 8192,
        "hidden_size": 256,
        "intermediate_size": 688,
        "num_hidden_layers": 6,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "max_position_embeddings": 4096,
    },
    "8b": {
        "vocab_size": 128256,
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "max_position_embeddings": 8192,
    },
}
END_OF_TURN = "<|im_end|>"
WAITING = ("OMP_WAIT_POLICY", "PASSIVE")  # as the program sets it for itself
TEXT = "the a number is not of seven and twelve because we add carry so it holds then step answer check"


def conversations(count: int, words: int) -> list[dict[str, Any]]:
    """Made-up partitions of four or six turns, the same every time; `words` in a turn on average."""
    draw = random.Random(0)

    def turn() -> str:
        return " ".join(draw.choices(TEXT.split(), k=draw.randint(words // 2, words * 3 // 2)))

    rows = []
    for _ in range(count):
        turns = [{"from": ("human", "gpt")[place % 2], "value": turn()} for place in range(draw.choice((4, 6)))]
        rows.append(
            {"conversations": turns, "system": "", "trains": [each["from"] == "gpt" for each in turns]},
        )
    return rows


def write_base(folder: Path, shape: str) -> str:
    """A base model with random weights; what the specification calls it."""
    if shape == "smollm2":
        return "embedded"
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|im_start|>", END_OF_TURN]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    learner = trainers.BpeTrainer(
        vocab_size=600, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator([TEXT] * 10, learner)
    made = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END_OF_TURN)  # type: ignore[no-untyped-call]
    made.save_pretrained(folder)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        torch.set_default_dtype(torch.bfloat16)
        LlamaForCausalLM(LlamaConfig(**SHAPES[shape])).save_pretrained(folder)
    return str(folder)


def write_work(root: Path, base: str, rows: list[dict[str, Any]], recipe: dict[str, Any]) -> str:
    """Data and specification in a lake; the work's folder."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from assets.training_programs.recipe import BaseModel, Recipe
    from assets.training_programs.specification import DataFile, TrainingData, specify
    from resources.lake.opening import open_store
    from resources.lake.published_folders import json_bytes

    file = root / "train.parquet"
    pq.write_table(pa.Table.from_pylist(rows), file)
    data = file.read_bytes()
    specified = TrainingData(
        variant="ori",
        id="bench",
        release="bench",
        rows={"train": len(rows)},
        files={"train": (DataFile(path=file.name, bytes=len(data), sha256=hashlib.sha256(data).hexdigest()),)},
    )
    model = BaseModel(name="bench", model=base, template="chatml", context_tokens=4096)
    specification = specify(model, "ori", Recipe.model_validate(recipe), specified, "local")
    content = json_bytes(specification.model_dump(mode="json"))
    open_store(str(root)).put(f"{specification.folder}/specification.json", content)
    return specification.folder


def run_program(root: Path, folder: str) -> dict[str, Any]:
    """What the program measured of itself."""
    environment = {**os.environ, "MASTER_LAKE_ROOT": str(root), "MASTER_WORK_FOLDER": folder}
    command = [sys.executable, "-W", "ignore", "-m", "assets.training_programs.fine_tuning"]
    subprocess.run(command, env=environment, check=True, cwd=Path(__file__).parents[1])
    manifest = root / folder / "manifest.json"
    results: dict[str, Any] = json.loads(manifest.read_bytes())["results"]
    manifest.unlink()
    return results


def run_plain(root: Path, folder: str) -> dict[str, Any]:
    """What the plain script measured of itself."""
    command = [sys.executable, "-W", "ignore", __file__, "--plain", str(root / folder / "specification.json")]
    environment = {"CUDA_VISIBLE_DEVICES": "0", **os.environ, WAITING[0]: os.environ.get(*WAITING)}
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    results: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return results


def plain(path: Path) -> None:
    """Supervised fine-tuning as TRL's documentation has it, with the specification's settings."""
    import torch
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig, TrainerCallback
    from trl import SFTConfig, SFTTrainer  # type: ignore[attr-defined]

    from resources.model_servers.embedded.weights import packaged_chat_model_file

    specified = json.loads(path.read_bytes())
    recipe, source, gguf = specified["recipe"], specified["base"]["model"], {}
    if source == "embedded":
        source, gguf = str(packaged_chat_model_file().parent), {"gguf_file": packaged_chat_model_file().name}
    tokenizer = AutoTokenizer.from_pretrained(source, **gguf)
    template = Path(__file__).parents[1] / "assets/training_programs/fine_tuning/templates/chatml.jinja"
    tokenizer.chat_template = template.read_text()
    tokenizer.pad_token = tokenizer.eos_token = END_OF_TURN
    bf16 = torch.cuda.is_available() and recipe["precision"] != "fp32"
    packed = {"quantization_config": GgufConfig(dequantize=True)} if gguf else {}
    model = AutoModelForCausalLM.from_pretrained(
        source, dtype=torch.bfloat16 if bf16 else torch.float32, attn_implementation="sdpa", **gguf, **packed
    )
    roles = {"human": "user", "gpt": "assistant"}
    data = Dataset.from_parquet(str(path.parents[4] / "train.parquet")).map(
        lambda row: {"messages": [{"role": roles[t["from"]], "content": t["value"]} for t in row["conversations"]]},
        remove_columns=["conversations", "system", "trains"],
    )

    class Watch(TrainerCallback):
        """When steps began and ended."""

        first = begun = ended = 0.0
        tokens = 0

        def on_train_begin(self, *_: Any, **__: Any) -> None:
            self.begun = time.monotonic()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.ended = time.monotonic()
            self.first = self.first or self.ended

        def on_log(self, *_: Any, **given: Any) -> None:
            self.tokens = int(given["logs"].get("num_tokens", self.tokens))

    watch = Watch()
    arguments = SFTConfig(
        output_dir=tempfile.mkdtemp(),
        num_train_epochs=recipe["epochs"],
        learning_rate=recipe["learning_rate"],
        lr_scheduler_type="cosine",
        optim=recipe["optimizer"],
        weight_decay=recipe["weight_decay"],
        max_grad_norm=recipe["max_gradient_norm"],
        seed=recipe["seed"],
        warmup_steps=recipe["warmup"],
        per_device_train_batch_size=recipe["batch_size"],
        gradient_accumulation_steps=recipe["effective_batch"] // recipe["batch_size"],
        activation_checkpointing=recipe["gradient_checkpointing"],
        bf16=bf16,
        use_cpu=not torch.cuda.is_available(),
        max_length=recipe["max_tokens"],
        packing=recipe["packing"],
        assistant_only_loss=True,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    lora = recipe["lora"]
    SFTTrainer(
        model=model,
        args=arguments,
        train_dataset=data,
        processing_class=tokenizer,
        callbacks=[watch],
        peft_config=LoraConfig(
            r=lora["rank"], lora_alpha=lora["alpha"], target_modules="all-linear", task_type="CAUSAL_LM"
        ),
    ).train()
    peak = (
        torch.cuda.max_memory_allocated()
        if torch.cuda.is_available()
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    )
    print(
        json.dumps(
            {
                "tokens_per_second": watch.tokens / (watch.ended - watch.begun),
                "tokens": watch.tokens,
                "peak_memory_bytes": peak,
                "seconds_to_first_step": watch.first - STARTED,
            }
        )
    )


def compare(options: argparse.Namespace) -> None:
    """Both sides by turns, then what there is to say of them."""
    recipe = {
        "epochs": 1,
        "batch_size": options.batch_size,
        "effective_batch": options.effective_batch,
        "max_tokens": options.max_tokens,
        "packing": options.packing,
        "gradient_checkpointing": not options.keep_activations,
        "save_steps": 10**6,
    }
    rows = conversations(options.steps * options.effective_batch, options.words)
    ours, plains = [], []
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        folder = write_work(root, write_base(root / "base", options.shape), rows, recipe)
        for _ in range(options.repeat):
            ours.append(run_program(root, folder))
            plains.append(run_plain(root, folder))
    speed = max(each["tokens_per_second"] for each in ours)
    other = max(each["tokens_per_second"] for each in plains)
    memory = min(each["peak_memory_bytes"] for each in ours)
    other_memory = min(each["peak_memory_bytes"] for each in plains)
    waiting = max(each["waiting_seconds"] / each["busy_seconds"] for each in ours)
    print(f"device                 {ours[0]['device']}, {ours[0]['precision']}")
    print(f"tokens                 {ours[0]['tokens']:,} (plain script {plains[0]['tokens']:,})")
    print(f"tokens a second        {speed:,.0f}, plain script {other:,.0f}: ratio {speed / other:.3f} (target 0.97)")
    print(f"peak memory            {memory / 2**30:.2f} GiB, plain script {other_memory / 2**30:.2f} GiB")
    print(f"waiting for data       {waiting:.2%} of the time")
    print(
        f"start to first step    {min(each['seconds_to_first_step'] for each in ours):.1f} s, "
        f"plain script {min(each['seconds_to_first_step'] for each in plains):.1f} s"
    )
    if ours[0]["mfu"]:
        print(f"MFU                    {max(each['mfu'] for each in ours):.1%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=(*SHAPES, "smollm2"), default="small")
    parser.add_argument("--steps", type=int, default=10, help="optimiser steps")
    parser.add_argument("--batch-size", type=int, default=2)
    parser.add_argument("--effective-batch", type=int, default=16)
    parser.add_argument("--max-tokens", type=int, default=2048)
    parser.add_argument("--words", type=int, default=60, help="in a turn, on average")
    parser.add_argument("--packing", action="store_true")
    parser.add_argument("--keep-activations", action="store_true", help="no gradient checkpointing")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each side")
    parser.add_argument("--plain", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.plain:
        plain(options.plain)
    else:
        compare(options)


if __name__ == "__main__":
    main()
