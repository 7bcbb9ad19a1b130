"""The cluster's API: the official client, with time-outs, and its errors with advice. Loaded when it is first used."""

import json
import os
from collections.abc import Callable, Collection
from typing import Any
from urllib.parse import urlsplit

from resources.training_jobs.backend import BackendError, BackendUnreachable

UNAUTHORIZED, FORBIDDEN, NOT_FOUND, CONFLICT = 401, 403, 404, 409
NO_LOG = (400, NOT_FOUND)  # the container has not started; the pod is gone
BUSY = (429, 500, 502, 503, 504)
TIMEOUTS = (10, 60)  # seconds: to connect, between two parts of an answer
RETRIES = 4
ADVICE = {
    UNAUTHORIZED: "the cluster does not accept these credentials: log in again, or correct backend.context",
    FORBIDDEN: "check backend.namespace; the Role in infra/helm/training.yaml has the permissions that it takes",
    NOT_FOUND: "correct backend.namespace, or create it with infra/helm/training.yaml",
}


class Cluster:
    """Clients of one cluster's API server."""

    def __init__(self, client: Any) -> None:
        """
        Args:
            client: `kubernetes.client.ApiClient`.
        """
        from kubernetes.client import BatchV1Api, CoreV1Api

        self.address: str = client.configuration.host
        self.host = urlsplit(self.address).hostname or self.address
        self.batch = BatchV1Api(client)
        self.core = CoreV1Api(client)

    def call(
        self,
        named: str,
        method: Callable[..., Any],
        *,
        expected: Collection[int] = (),
        tolerated: Collection[int] = (UNAUTHORIZED,),
        **arguments: Any,
    ) -> Any:
        """The answer of a call; None where it is refused with an expected status.

        Args:
            named: what is tried, as a message names it: `creating the Job x`.
            method: of one of the clients.
            expected: HTTP statuses that are an answer.
            tolerated: HTTP statuses that may pass, beside those of a busy server: credentials are renewed meanwhile.
            arguments: of the call.

        Raises:
            BackendUnreachable: the API server does not answer now.
            BackendError: it refuses.
        """
        from kubernetes.client.rest import ApiException
        from urllib3.exceptions import HTTPError

        try:
            return method(_request_timeout=TIMEOUTS, **arguments)
        except ApiException as error:
            if error.status in expected:
                return None
            raised = BackendUnreachable if error.status in (*BUSY, *tolerated) else BackendError
            advice = ADVICE.get(error.status, "correct `backend` in the trainer's configuration")
            if error.status in BUSY:
                advice = "try again in a minute"
            raise raised(f"{named} failed: {_reason(error)}; {advice}") from error
        except HTTPError as error:
            raise BackendUnreachable(
                f"{named} failed: the API server at {self.address} does not answer ({_innermost(error)}); check the "
                "network, or correct backend.context"
            ) from error


def open_cluster(context: str | None) -> Cluster:
    """The cluster of a kubeconfig context; None: the cluster that this runs in, elsewhere the current context.

    Raises:
        BackendError: the client is not installed, or no cluster is configured.
    """
    try:
        from kubernetes import client, config
        from kubernetes.config import ConfigException
        from urllib3.util import Retry
        from yaml import YAMLError
    except ModuleNotFoundError as error:
        raise BackendError(
            "the backend `kubernetes` needs the package kubernetes: `make kubernetes`, or `pip install "
            "'master-dagster[kubernetes]'`"
        ) from error
    settings = client.Configuration()
    try:
        if context is None and "KUBERNETES_SERVICE_HOST" in os.environ:
            config.load_incluster_config(client_configuration=settings)
        else:
            file = os.environ.get("KUBECONFIG")  # the client itself looks at it once, when it is imported
            config.load_kube_config(config_file=file, context=context, client_configuration=settings)
    except (ConfigException, OSError, YAMLError, TypeError) as error:  # the last ones: a file that is no kubeconfig
        raise BackendError(
            f"no cluster is configured: {error}; set KUBECONFIG or backend.context (`kubectl config get-contexts` "
            "lists them)"
        ) from error
    # A repeated call does no harm: names are unique, and what is deleted stays deleted.
    settings.retries = Retry(
        total=RETRIES, backoff_factor=0.5, status_forcelist=BUSY, allowed_methods=None, raise_on_status=False
    )
    return Cluster(client.ApiClient(settings))


def _reason(error: Any) -> str:
    """The message of a Status object, which the API server answers with; else the HTTP reason."""
    try:
        return str(json.loads(error.body)["message"])
    except (TypeError, ValueError, KeyError):
        return f"HTTP {error.status} {error.reason}"


def _innermost(error: Any) -> str:
    """What urllib3 gave up for: its own message repeats the address and the object that failed."""
    reason = getattr(error, "reason", None) or error
    return str(reason).rpartition(": ")[2] or type(reason).__name__
