"""The settings of a started server, and its command line against the documented options."""

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from resources.chat.profile import Endpoint
from resources.model_servers.started.commands import KEY_VARIABLES, build_command
from resources.model_servers.started.configuration import FIELD_OF_ARGUMENT, StartedServer

DOCUMENTED = yaml.safe_load(Path(__file__).with_name("options.yaml").read_text(encoding="utf-8"))
SERVERS = [
    ("vllm", {"model": "some/model", "gpus": 4, "max_lora_rank": 16}),
    ("llama_server", {"model": "folder/some.gguf"}),
]


@pytest.mark.parametrize(("kind", "server"), SERVERS)
def test_every_option_of_a_command_is_documented(kind: str, server: dict[str, Any]) -> None:
    configured = StartedServer.model_validate({"executable": sys.executable, **server})
    command = build_command(kind, configured, "some-key", slots=4, context_tokens=1000)

    given = [argument for argument in command.arguments if argument.startswith("--")]
    assert given
    assert set(given) <= set(DOCUMENTED[kind]["options"])
    assert KEY_VARIABLES[kind] in DOCUMENTED[kind]["environment"]
    assert command.environment[KEY_VARIABLES[kind]] == "some-key"


def test_the_command_of_llama_server_has_the_endpoints_context_for_each_call() -> None:
    server = StartedServer(model="some.gguf", executable=sys.executable, arguments=("--n-gpu-layers", "99"))
    arguments = build_command("llama_server", server, None, slots=4, context_tokens=1000).arguments
    options = dict(zip(arguments[1::2], arguments[2::2], strict=False))
    assert (options["--ctx-size"], options["--parallel"], options["--alias"]) == ("4000", "4", "some")
    assert arguments[-2:] == ("--n-gpu-layers", "99")


def test_a_proxy_with_a_password_is_kept_out_of_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://me:opensesame@proxy:3128")
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:3128")
    server = StartedServer(model="some/model", executable=sys.executable)
    command = build_command("vllm", server, None, slots=4, context_tokens=1000)
    assert command.secrets == ("HTTPS_PROXY",)
    assert command.environment["HTTP_PROXY"] == "http://proxy:3128"


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [
        ({"kind": "vllm"}, "kind 'vllm' needs a server"),
        ({"kind": "openai", "base_url": "http://a/v1", "server": {"model": "m"}}, "server is for endpoints of kind"),
        ({"kind": "vllm", "base_url": "http://a/v1", "server": {"model": "m"}}, "has no base_url"),
        ({"kind": "llama_server", "server": {"model": "some/model"}}, "should be the path of a .gguf file"),
        ({"kind": "vllm", "server": {"model": "m", "environment": ["hf-..."]}}, "NAMES of environment variables"),
        ({"kind": "vllm", "server": {"model": "m", "adapters": {"a": "b"}}}, "adapters need max_lora_rank"),
        *(
            ({"kind": kind, "server": {"model": "m.gguf", "arguments": [f"{name}=1"]}}, f"server.arguments has {name}")
            for kind, fields in FIELD_OF_ARGUMENT.items()
            for name in fields
        ),
    ],
)
def test_settings_that_do_not_fit_are_named(endpoint: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(message)):
        Endpoint.model_validate(endpoint)
