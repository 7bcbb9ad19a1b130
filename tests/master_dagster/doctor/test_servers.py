"""What the doctor says of servers that the profile starts on this machine."""

import sys
from pathlib import Path
from typing import Any

import pytest

from master_dagster.doctor.findings import SetUp
from master_dagster.doctor.machine import check_servers
from resources.chat.profile import Profile
from resources.model_servers.started.configuration import StartedServer
from resources.model_servers.started.usage import record_usage, usage_name


@pytest.fixture
def one_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with one GPU."""
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 'GPU 0: NVIDIA H100 (UUID: GPU-1)'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


PYTHON = {"executable": sys.executable}
USED = {**PYTHON, "model": "used/model"}


@pytest.mark.parametrize(
    ("kind", "server", "found"),
    [
        ("vllm", {}, [("fault", "vllm was not found, which kind 'vllm' starts: install vLLM")]),
        ("vllm", PYTHON, [("ok", "is there, and nvidia-smi shows 1 GPU")]),
        ("vllm", USED, [("ok", "1 start so far, the last took 93 s; 2.0 hours, $8.00")]),
        ("vllm", {**PYTHON, "gpus": 2}, [("fault", "needs 2 GPUs, and nvidia-smi shows 1")]),
        (
            "vllm",
            {**PYTHON, "environment": ["HF_TOKEN"]},
            [("warning", "HF_TOKEN is not set"), ("ok", "is there")],
        ),
        ("llama_server", {"model": "no.gguf"}, [("fault", "`kind: embedded` with `model_file`")]),
        ("llama_server", {**PYTHON, "model": "no.gguf"}, [("fault", "no.gguf): there is no such file")]),
    ],
)
def test_what_a_server_needs_is_found(
    one_gpu: None, kind: str, server: dict[str, Any], found: list[tuple[str, str]]
) -> None:
    endpoint = {"kind": kind, "server": {"model": "some/model", **server}}
    role = {"endpoint": "gpu", "model": "some/model", "temperature": 0, "max_tokens": 8}
    profile = Profile.model_validate({"name": "p", "endpoints": {"gpu": endpoint}, "roles": {"judge": role}})
    name = usage_name("vllm", StartedServer(model="used/model"))
    record_usage(name, "", starts=1, startup_seconds=93.0, running_seconds=7200.0, price_per_hour=4.0)
    findings = list(check_servers(SetUp(Path(), profile=profile)))
    assert [finding.status for finding in findings] == [status for status, _ in found]
    for finding, (_, message) in zip(findings, found, strict=True):
        assert message in finding.message
