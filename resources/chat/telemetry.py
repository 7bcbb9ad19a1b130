"""Spans and metrics of calls, by OpenTelemetry's conventions for generative AI, without texts.

Off unless `OTEL_EXPORTER_OTLP_ENDPOINT` names a collector; nothing of OpenTelemetry is imported before. Its other
variables (`OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_SERVICE_NAME`, …) are those of its SDK.
"""

import asyncio
import logging
import os
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from resources.chat.calls import CallFailed, Completion, EndpointUnusable
from resources.chat.replies import AttemptFailed, Throttled
from resources.chat.role_model import RoleModel
from resources.chat.scope_journals import run_in_daemon_thread

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.trace import TracerProvider

SWITCH = "OTEL_EXPORTER_OTLP_ENDPOINT"
SERVICE = "master-dagster"
FLUSH_MILLISECONDS = 5000
# The provider by its host, in the words of the conventions; for others, the one whose API they have.
PROVIDERS = {
    "openai.azure.com": "azure.ai.openai",
    "generativelanguage.googleapis.com": "gcp.gemini",
    "api.anthropic.com": "anthropic",
}
OTHER_PROVIDER = "openai"
CHAT, TEXT_COMPLETION = "chat", "text_completion"  # operations of the conventions
# Of the conventions too: bounds of the histograms, in tokens and in seconds.
TOKEN_BOUNDS = [float(4**power) for power in range(14)]
SECOND_BOUNDS = [0.01 * 2**power for power in range(14)]

logger = logging.getLogger(__name__)


class CallTelemetry:
    """Reports each request to a collector, from threads of the SDK: no call waits for it."""

    def __init__(self, tracers: "TracerProvider", meters: "MeterProvider") -> None:
        self._tracers, self._meters = tracers, meters
        self._tracer = tracers.get_tracer(SERVICE)
        meter: Meter = meters.get_meter(SERVICE)
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            unit="{token}",
            description="Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=TOKEN_BOUNDS,
        )
        self._duration = meter.create_histogram(
            "gen_ai.client.operation.duration",
            unit="s",
            description="GenAI operation duration.",
            explicit_bucket_boundaries_advisory=SECOND_BOUNDS,
        )

    async def observe(
        self,
        address: str,
        role: str,
        scope: str,
        model: RoleModel,
        send: Callable[[], Awaitable[Completion]],
        operation: str = CHAT,
    ) -> Completion:
        """The result of `send`, reported as one operation, also where it fails.

        Args:
            address: of the endpoint.
            role: of the profile.
            scope: the asset partition.
            model: which is asked, and how it is sampled.
            send: sends one request.
            operation: what is asked for, in the words of the conventions: CHAT or TEXT_COMPLETION.
        """
        with self._operation(address, role, scope, model, operation) as answered:
            completion = await send()
            answered(completion)
        return completion

    async def flush(self) -> None:
        """Send what is collected, within some seconds where the collector does not answer."""

        def send() -> None:
            self._tracers.force_flush(FLUSH_MILLISECONDS)
            self._meters.force_flush(FLUSH_MILLISECONDS)

        with suppress(TimeoutError):
            async with asyncio.timeout(2 * FLUSH_MILLISECONDS / 1000):
                await run_in_daemon_thread(send)

    @contextmanager
    def _operation(
        self, address: str, role: str, scope: str, model: RoleModel, operation: str
    ) -> Iterator[Callable[[Completion], None]]:
        from opentelemetry.trace import SpanKind, Status, StatusCode

        shared = {"gen_ai.operation.name": operation, "gen_ai.request.model": model.model, **_server(address)}
        about = {"master.role": role, "master.scope": scope, **_sampling(model)}
        span = self._tracer.start_span(f"{operation} {model.model}", kind=SpanKind.CLIENT, attributes=shared | about)
        started = time.monotonic()

        def answered(completion: Completion) -> None:
            span.set_attributes(_usage(completion))
            for kind, tokens in (("input", completion.prompt_tokens), ("output", completion.completion_tokens)):
                self._tokens.record(tokens, shared | {"gen_ai.token.type": kind})

        failed: dict[str, str] = {}
        try:
            yield answered
        except BaseException as error:
            failed = {"error.type": _error_type(error)}
            span.set_attributes(failed)
            span.set_status(Status(StatusCode.ERROR))
            raise
        finally:
            span.end()
            self._duration.record(time.monotonic() - started, shared | failed)


@cache
def open_telemetry() -> CallTelemetry | None:
    """What reports calls in this process; None where it is off, or where the SDK is not installed."""
    if not os.environ.get(SWITCH) or os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError:  # other packages install OpenTelemetry's API without the rest
        logger.warning("%s is set, but nothing is sent: install the extra `telemetry` (make telemetry)", SWITCH)
        return None

    named = {} if os.environ.get("OTEL_SERVICE_NAME") else {"service.name": SERVICE}
    resource = Resource.create({**named, "service.instance.id": str(uuid.uuid4())})  # counters are per process
    tracers = TracerProvider(resource=resource)
    tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return CallTelemetry(tracers, MeterProvider([PeriodicExportingMetricReader(OTLPMetricExporter())], resource))


def _server(address: str) -> dict[str, Any]:
    parts = urlsplit(address)
    host = parts.hostname or ""
    provider = next((name for suffix, name in PROVIDERS.items() if host.endswith(suffix)), OTHER_PROVIDER)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return {"gen_ai.provider.name": provider, "server.address": host, "server.port": port}


def _sampling(model: RoleModel) -> dict[str, Any]:
    given = {
        "gen_ai.request.temperature": model.temperature,
        "gen_ai.request.top_p": model.top_p,
        "gen_ai.request.max_tokens": model.token_limit,
    }
    return {name: value for name, value in given.items() if value is not None}


def _usage(completion: Completion) -> Mapping[str, Any]:
    return {
        "gen_ai.response.finish_reasons": [completion.finish_reason],
        "gen_ai.usage.input_tokens": completion.prompt_tokens,
        "gen_ai.usage.output_tokens": completion.completion_tokens,
        "gen_ai.usage.cache_read.input_tokens": completion.cached_tokens,
        "gen_ai.usage.reasoning.output_tokens": completion.reasoning_tokens,
    }


def _error_type(error: BaseException) -> str:
    """A short code; never a message, which may quote the prompt."""
    if isinstance(error, Throttled):
        return "throttled"
    if isinstance(error, AttemptFailed | CallFailed):
        return error.reason
    return "endpoint_unusable" if isinstance(error, EndpointUnusable) else type(error).__name__
