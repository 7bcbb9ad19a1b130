"""Checks of the models: one small call for each, by the engine that runs use."""

from collections.abc import Iterator

from master_dagster.doctor.findings import Finding, SetUp
from resources.chat.calls import Call, CallFailed, Completion, EndpointUnusable, Message
from resources.chat.profile import Profile, read_key
from resources.chat.retries import RetryPolicy
from resources.chat.service import ChatService, run_async
from resources.configuration import ConfigurationError
from resources.embedder import open_embedder
from resources.lake.store import LocalStore
from resources.model_servers.embedded.weights import EmbeddedModelMissing
from resources.model_servers.lease import ModelServerError
from resources.scratch import scratch_folder

TOKENS = 16  # that an answer may have
REASONING_TOKENS = 1024  # that a reasoning model's thoughts and its answer may have
SECONDS = 60.0  # for one call, and for which a busy endpoint is asked again
RETRIES = RetryPolicy(attempts=2)
QUESTION = "Answer with one word: which colour has the sky?"

ERRORS = (CallFailed, EndpointUnusable, ConfigurationError, EmbeddedModelMissing, ModelServerError)


def check_models(set_up: SetUp) -> Iterator[Finding]:
    """Whether each model of the profile answers. A model that only benchmarks use is no fault."""
    profile, deployment = set_up.profile, set_up.deployment
    if profile is None:
        return
    roles_of: dict[tuple[str, str], list[str]] = {}
    for role, played_by in profile.roles.items():
        roles_of.setdefault((played_by.endpoint, played_by.model), []).append(role)
    for (endpoint, model), roles in roles_of.items():
        for_benchmarks = deployment is not None and not set(roles).difference(deployment.benchmarks.roles_needed)
        shown = f"{model} at endpoint {endpoint!r}"
        if not has_key(profile, endpoint):
            yield Finding("models", "skipped", f"{shown} is not called without its key")
            continue
        try:
            answer = run_async(ask(profile, roles[0]))
        except ERRORS as error:
            message = f"{shown}: {error}" if isinstance(error, CallFailed) else str(error)  # others name the model
            yield Finding("models", "warning" if for_benchmarks else "fault", message)
        else:
            used = answer.prompt_tokens + answer.completion_tokens
            yield Finding("models", "ok", f"{shown} answers ({used} tokens)")


def has_key(profile: Profile, endpoint: str) -> bool:
    """Whether an endpoint's key can be sent, or it takes none; the check of the keys reports it."""
    try:
        read_key(endpoint, profile.endpoints[endpoint])
    except (ConfigurationError, KeyError):
        return False
    return True


async def ask(profile: Profile, role: str) -> Completion:
    """One short answer of a role's model. Nothing is written to the lake, and no time limit is longer than a minute.

    Raises:
        CallFailed, EndpointUnusable, ConfigurationError: there is none.
        EmbeddedModelMissing, ModelServerError: the embedded model cannot be used.
    """
    model = profile.roles[role]
    endpoint = profile.endpoints[model.endpoint]
    limits = {"timeout_seconds": min(SECONDS, endpoint.timeout_seconds), "retry_deadline_seconds": SECONDS}
    quick = profile.model_copy(
        update={
            "endpoints": {model.endpoint: endpoint.model_copy(update=limits)},
            "roles": {role: model.limited_to(REASONING_TOKENS if model.reasoning else TOKENS)},
        }
    )
    with scratch_folder("doctor") as folder:
        async with ChatService(quick, LocalStore(folder), retries=RETRIES).engine() as engine:
            call = Call(role, (Message("user", QUESTION),), "doctor", "0")
            return await engine.complete(call, scope="doctor")


def check_embedder(set_up: SetUp) -> Iterator[Finding]:
    """Whether the embedder embeds."""
    if set_up.profile is None:
        return
    choice = set_up.profile.embedder
    if choice.kind == "openai" and not has_key(set_up.profile, choice.endpoint or ""):
        yield Finding("embedder", "skipped", f"{choice.model} is not called without its key")
        return
    try:
        vectors = open_embedder(set_up.profile, RETRIES).embed([QUESTION])
    except ERRORS as error:
        yield Finding("embedder", "fault", str(error))
    else:
        yield Finding("embedder", "ok", f"{choice.model} ({choice.kind}): vectors of {vectors.shape[1]} numbers")
