"""A profile: which model plays which role, through which endpoint, at what price and within which limits.

A profile is one YAML file; `profiles/` holds the shipped ones. It names the environment variables of keys, never keys.
The endpoint's *name* is its identity in the journal; its address may change.
"""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import parse_qsl, urlsplit

from pydantic import (
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails

from resources.chat.role_model import ModelPrice, RoleModel
from resources.configuration import (
    Configuration,
    ConfigurationError,
    fault_list,
    load_configuration,
    shipped_or_path,
)
from resources.model_servers.started.configuration import StartedServer

_SECRET = re.compile(
    "key|token(?!s)|secret|passw|^pass$|auth|sig|cookie|^code$|^pat$", re.IGNORECASE
)  # names of parameters
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
PROFILES = Path(__file__).parent / "profiles"
AZURE_DEPLOYMENTS = "/openai/deployments/"  # in addresses of Azure's older API


class BatchLimits(Configuration):
    """How batches of an endpoint are cut, how long they are tried, what stays. The defaults are OpenAI's limits."""

    requests: int = Field(default=50_000, ge=1, description="Most requests of one batch.")
    bytes: int = Field(default=200_000_000, ge=1, description="Most bytes of a batch's file.")
    queued_tokens: int | None = Field(
        default=None,
        ge=1,
        description="Most prompt tokens of one model in open batches, at four characters per token; what is over waits "
        "until a batch ends. A queue that the provider refuses as full is waited for without it too.",
    )
    completion_window: str = Field(default="24h", pattern=r"^[0-9]+[hd]$", description="How long a batch may take.")
    live_after_hours: float = Field(
        default=72.0,
        ge=0,
        description="A call that failed in a batch is asked live once it was first submitted so many hours ago; "
        "before, in the next batch, three times at most.",
    )
    keep_files: bool = Field(
        default=False,
        description="Keep the files of requests, answers and errors at the provider. By default they are deleted there "
        "once the answers are in the lake.",
    )


class Endpoint(Configuration):
    """An OpenAI-compatible server, or the embedded one, with our own limits."""

    kind: Literal["openai", "embedded", "vllm", "llama_server"] = Field(
        default="openai",
        description="`openai`: any OpenAI-compatible server; `embedded`: the one that is included; `vllm` and "
        "`llama_server`: started on this machine when it is first needed, as `server` says.",
    )
    base_url: str | None = Field(
        default=None, description="Kind `openai`: address up to and including `/v1`; others need none."
    )
    server: StartedServer | None = Field(
        default=None, description="Kinds `vllm` and `llama_server`: what is started, and for how long it runs."
    )
    api_key_env: str | None = Field(default=None, description="Name of the environment variable that holds the key.")
    key_header: str | None = Field(
        default=None,
        description="Header that carries the key as it is, such as `api-key`. By default that is `Authorization` with "
        "a bearer token, and `api-key` for Azure's addresses (`/openai/deployments/`).",
    )
    headers: dict[str, str] = Field(
        default_factory=dict, description="Further headers of every request, without secrets, such as `X-Title`."
    )
    max_concurrency: int = Field(default=64, ge=1, description="Hard cap on calls in flight.")
    requests_per_minute: int | None = Field(default=None, ge=1, description="Hard cap on calls per minute.")
    tokens_per_minute: int | None = Field(default=None, ge=1, description="Hard cap on tokens per minute.")
    runs_at_once: int = Field(
        default=1,
        ge=1,
        description="Machines that use this endpoint at the same time; a pod or a task of its own counts as one. Each "
        "gets its part of the three caps, which all runs of a machine share.",
    )
    timeout_seconds: float = Field(default=120.0, gt=0, description="Time-out of one call.")
    retry_deadline_seconds: float = Field(
        default=900.0,
        gt=0,
        description="How long one call may wait because of 429 and 503 before its dialogue is set aside.",
    )
    context_tokens: int = Field(default=32768, ge=256, description="Context window of one call.")
    system_role: bool = Field(
        default=True,
        description="`false` for models without a system role: the text then begins the first user message.",
    )
    model_file: str | None = Field(default=None, description="Embedded only: a GGUF file; by default the included one.")
    batches: BatchLimits = Field(default=BatchLimits(), description="Limits of batches, for roles of mode `batch`.")
    extra_body: dict[str, object] = Field(
        default_factory=dict,
        description="Further fields of every request, for servers that want them; null removes a field.",
    )

    @field_validator("api_key_env")
    @classmethod
    def _names_a_variable(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", value):
            raise ValueError(
                "should be the NAME of an environment variable, such as OPENAI_API_KEY; the key itself goes into that "
                "variable, never into a profile"
            )
        return value

    @field_validator("base_url")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        try:
            parts = urlsplit(value)
            parts.port  # noqa: B018 - reading it checks it
        except ValueError:
            raise ValueError("is not a readable address: check host and port") from None
        if parts.username is not None or parts.password is not None:
            raise ValueError("must hold no user name and no password: name a variable in api_key_env instead")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must start with http:// or https:// and name a host, such as http://localhost:8000/v1")
        secrets = sorted({name for name, _ in parse_qsl(parts.query, keep_blank_values=True) if _SECRET.search(name)})
        if secrets:
            raise ValueError(
                f"must hold no secret, but its query has {', '.join(secrets)}: name a variable in api_key_env, and the "
                "header in key_header"
            )
        return value

    @field_validator("key_header")
    @classmethod
    def _is_a_header(cls, value: str | None) -> str | None:
        if value is not None and not _HEADER_NAME.fullmatch(value):
            raise ValueError("a header's name has letters, digits and hyphens, such as api-key")
        return value

    @field_validator("headers")
    @classmethod
    def _are_headers(cls, value: dict[str, str]) -> dict[str, str]:
        if not all(_HEADER_NAME.fullmatch(name) for name in value):
            raise ValueError("a header's name has letters, digits and hyphens, such as X-Title")
        if not all(re.fullmatch(r"[\x20-\x7e]*", text) for text in value.values()):
            raise ValueError("a header's value has printable ASCII characters only")
        if any(_SECRET.search(name) for name in value):
            raise ValueError("must hold no secret: name a variable in api_key_env, and its header in key_header")
        return value

    @model_validator(mode="after")
    def _address_fits_kind(self) -> Self:
        if self.kind == "openai" and not self.base_url:
            raise ValueError("an endpoint of kind 'openai' needs a base_url such as http://localhost:8000/v1")
        if self.kind != "embedded" and self.model_file:
            raise ValueError("model_file is for endpoints of kind 'embedded'")
        starts = self.kind in ("vllm", "llama_server")
        if starts != (self.server is not None):
            raise ValueError(
                f"an endpoint of kind {self.kind!r} needs a server, such as {{model: Qwen/Qwen2.5-14B-Instruct}}"
                if starts
                else "server is for endpoints of kind 'vllm' or 'llama_server'"
            )
        if starts and self.base_url:
            raise ValueError(f"an endpoint of kind {self.kind!r} has no base_url: its server runs on this machine")
        if self.server is not None:
            self.server.check_fits(self.kind)
        return self


class EmbedderModel(Configuration):
    """The model that embeds questions for the analogy's retrieval."""

    kind: Literal["embedded", "openai", "sentence_transformers"] = Field(
        default="embedded",
        description="`embedded`: the included model; `openai`: an `/v1/embeddings` endpoint; "
        "`sentence_transformers`: that library, if it is installed.",
    )
    endpoint: str | None = Field(default=None, description="Kind `openai`: a key of `endpoints`.")
    model: str = Field(default="all-MiniLM-L6-v2", min_length=1, description="The model's name.")
    batch_size: int = Field(default=64, ge=1, description="Questions per call.")


class Profile(Configuration):
    """One profile."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$", description="How releases and dialogues name it.")
    description: str = Field(default="", description="One line for readers.")
    prompts: str = Field(
        default="standard",
        min_length=1,
        description="The prompts that suit these models: `standard` (instructions only), `by_example` (with worked "
        "examples, which very small models need), or a folder with files of the same names.",
    )
    judging: Literal["by_judge", "rules_alone"] = Field(
        default="by_judge",
        description="`rules_alone`: its judge is too weak to decide, so no judge is asked and every rule rejects.",
    )
    endpoints: dict[str, Endpoint] = Field(min_length=1)
    prices: dict[str, ModelPrice] = Field(default_factory=dict, description="By model name; unknown models cost 0.")
    roles: dict[str, RoleModel] = Field(min_length=1)
    embedder: EmbedderModel = EmbedderModel()

    @model_validator(mode="wrap")
    @classmethod
    def _every_role_and_endpoint_is_there(
        cls, data: object, validate: ModelWrapValidatorHandler[Self], info: ValidationInfo
    ) -> Self:
        """Reports missing roles and unknown endpoints together with the faults of the fields."""
        faults = _missing_parts(data, (info.context or {}).get("needed", {})) if isinstance(data, Mapping) else []
        whole: list[InitErrorDetails] = [
            InitErrorDetails(type="value_error", input=data, ctx={"error": ValueError(fault)}) for fault in faults
        ]
        try:
            profile = validate(data)
        except ValidationError as error:
            fields = [
                InitErrorDetails(type=one["type"], loc=one["loc"], input=one["input"], ctx=one.get("ctx", {}))
                for one in error.errors(include_url=False)
            ]
            raise ValidationError.from_exception_data(error.title, fields + whole) from None
        if whole:
            raise ValidationError.from_exception_data(cls.__name__, whole)
        return profile

    def check_roles(self, needed: Mapping[str, str]) -> None:
        """Check that every role that is needed has a model.

        Args:
            needed: role to what needs it, such as `scenario debate`.

        Raises:
            ConfigurationError: names every role that is missing.
        """
        if missing := _missing_roles(self.roles, needed):
            raise ConfigurationError(fault_list(f"profile {self.name!r} lacks roles:", missing))

    def check_keys(self, roles: Iterable[str]) -> None:
        """Check that every key these roles need is set and can be sent, before any money is spent.

        Raises:
            ConfigurationError: names every environment variable that is not set or holds no key.
        """
        used = {self.roles[role].endpoint for role in roles}
        missing = []
        for name in sorted(used & self.endpoints.keys()):
            try:
                read_key(name, self.endpoints[name])
            except ConfigurationError as error:
                missing.append(str(error))
        if missing:
            raise ConfigurationError(fault_list(f"profile {self.name!r} cannot be used:", missing))


def _missing_roles(roles: Mapping[str, object], needed: Mapping[str, str]) -> list[str]:
    return [f"role {role!r} is missing; {user} needs it" for role, user in needed.items() if role not in roles]


def _missing_parts(data: Mapping[str, Any], needed: Mapping[str, str]) -> list[str]:
    """The roles that a profile's file lacks, and the endpoints that it names and does not have."""
    roles, endpoints = data.get("roles") or {}, data.get("endpoints") or {}
    if not isinstance(roles, Mapping) or not isinstance(endpoints, Mapping):
        return []  # reported as faults of these fields
    users = {f"roles.{role}": _value_of(model, "endpoint") for role, model in roles.items()}
    if _value_of(data.get("embedder"), "kind") == "openai":
        users["embedder"] = _value_of(data["embedder"], "endpoint") or ""
    known = ", ".join(sorted(map(str, endpoints)))
    without_batches = [
        f"roles.{role}.mode: endpoint {_value_of(model, 'endpoint')!r} has no batches: they need a server with "
        "/v1/files and /v1/batches, of kind `openai` and not at an address of an Azure deployment; use `live`"
        for role, model in roles.items()
        if _value_of(model, "mode") == "batch" and _has_no_batches(endpoints.get(_value_of(model, "endpoint")))
    ]
    unknown = [
        f"{user}.endpoint: unknown endpoint {endpoint!r}; known: {known}"
        for user, endpoint in users.items()
        if isinstance(endpoint, str) and endpoint not in endpoints
    ]
    return [*without_batches, *_missing_roles(roles, needed), *unknown]


def _has_no_batches(endpoint: object) -> bool:
    address = str(_value_of(endpoint, "base_url"))
    return _value_of(endpoint, "kind") not in (None, "openai") or AZURE_DEPLOYMENTS in address


def _value_of(entry: object, name: str) -> object:
    """A value of an entry, which is a mapping in a file and may be a model elsewhere."""
    return entry.get(name) if isinstance(entry, Mapping) else getattr(entry, name, None)


def read_key(name: str, endpoint: Endpoint) -> str | None:
    """The key of an endpoint, without white space around it; None where the endpoint takes none.

    Raises:
        ConfigurationError: its variable is not set, or its value cannot be a key.
    """
    variable = endpoint.api_key_env
    if not variable:
        return None
    key = os.environ.get(variable, "").strip()
    where = f"endpoint {name!r} takes its key from {variable}"
    if not key:
        raise ConfigurationError(f"{where}, which is not set; set it in the shell or in .env")
    if not re.fullmatch(r"[\x21-\x7e]+", key) or key[0] in "\"'`" or key[-1] in "\"'`":
        raise ConfigurationError(
            f"{where}, which holds quotation marks, spaces or other characters that are no part of a key: write the "
            "key alone into it"
        )
    return key


def load_profile(name_or_path: str, needed: Mapping[str, str] | None = None) -> Profile:
    """The shipped profile of that name, or the one in that file. See `load_configuration` for errors.

    Args:
        name_or_path: such as `paper`.
        needed: roles that it must have, and what needs each; see `Profile.check_roles`.
    """
    return load_configuration(shipped_or_path(name_or_path, PROFILES), Profile, needed=needed or {})
