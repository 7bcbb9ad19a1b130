"""Errors of AWS (S3, SageMaker, Batch, CloudWatch Logs) as messages that say what to do."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ResponseStreamingError,
    SSLError,
    TokenRetrievalError,
)

NO_CREDENTIALS = (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError, TokenRetrievalError)
UNREACHABLE = (ConnectionError, HTTPClientError, ResponseStreamingError, IncompleteReadError)
TRANSIENT_CODE = re.compile(
    "Throttl|TooManyRequests|RequestLimitExceeded|SlowDown|Unavailable|Internal(Error|Failure|Server)|RequestTimeout$"
)
_AGAIN = "run the same command again, nothing finished is lost"
_REGION = "the bucket is in another region: set AWS_REGION to the bucket's region"
_EXPIRED = f"the credentials have expired: renew them and {_AGAIN}"
_UNKNOWN = (
    "AWS does not know these credentials: check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_PROFILE or the role of "
    "this machine"
)
ADVICE = {
    "NoSuchBucket": "create the bucket, or set MASTER_LAKE_ROOT to one that exists",
    "PermanentRedirect": _REGION,
    "301": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "IllegalLocationConstraintException": _REGION,
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "TokenRefreshRequired": _EXPIRED,
    "InvalidToken": _UNKNOWN,
    "InvalidAccessKeyId": _UNKNOWN,
    "InvalidClientTokenId": _UNKNOWN,
    "InvalidSignatureException": _UNKNOWN,
    "SignatureDoesNotMatch": _UNKNOWN,
    "UnrecognizedClientException": _UNKNOWN,
    "RequestTimeTooSkewed": "the clock of this machine is wrong: set it",
    "ResourceLimitExceeded": "this exceeds a quota of the account: raise it in Service Quotas, or choose another "
    "instance type",
    "400": "S3 gave no reason: check that the credentials have not expired and that AWS_REGION is the bucket's region",
}
PERMISSIONS = {  # S3's names of calls and of permissions differ
    "GetObject": "s3:GetObject on it, or s3:ListBucket on its bucket, without which a missing object looks forbidden",
    "ListObjectsV2": "s3:ListBucket on the bucket",
    "PutObject": "s3:PutObject",
    "CreateMultipartUpload": "s3:PutObject",
    "DeleteObject": "s3:DeleteObject",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads on the bucket",
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
}


@contextmanager
def explained(
    call: str, failed: type[Exception], unreachable: type[Exception], otherwise: str | None = None
) -> Iterator[None]:
    """Turn botocore's errors into errors whose message says what failed, where, and what to do.

    Args:
        call: what is tried, as the message names it: `PutObject on s3://bucket/key`.
        failed: raised where the same call would fail again.
        unreachable: raised where the same call may succeed later.
        otherwise: advice on a refusal that this module does not know. None: such a ClientError passes unchanged, for
            the caller to decide.
    """
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        advice = advice_on(error) or otherwise
        if advice is None:
            raise
        raised = unreachable if is_transient(error) else failed
        raise raised(f"{call} failed: {_reason(error)}; {advice}") from error


def is_transient(error: Exception) -> bool:
    """Whether the service could not be reached or could not answer now, rather than refused."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return status == 429 or status >= 500 or bool(TRANSIENT_CODE.search(code_and_message(error)[0]))
    return isinstance(error, UNREACHABLE) and not isinstance(error, SSLError)


def code_and_message(error: ClientError) -> tuple[str, str]:
    """The code and the text of a refusal."""
    details = error.response.get("Error", {})
    return details.get("Code", "unknown"), details.get("Message") or ""


def advice_on(error: ClientError | BotoCoreError) -> str | None:
    """What to do about an error; None for a refusal that is not known here."""
    if isinstance(error, ClientError):
        return _advice_on_refusal(error)
    if isinstance(error, NO_CREDENTIALS):
        return "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run where a role gives credentials"
    if isinstance(error, NoRegionError):
        return "set AWS_REGION"
    if is_transient(error):
        return f"check the network, the region and MASTER_S3_ENDPOINT_URL or AWS_ENDPOINT_URL, then {_AGAIN}"
    if isinstance(error, SSLError):
        return "put the path of a PEM file with the certificate of the authority that signed it into SSL_CERT_FILE"
    return "check the endpoint, the region and the credentials"


def _advice_on_refusal(error: ClientError) -> str | None:
    code, message = code_and_message(error)
    if code in ADVICE:
        return ADVICE[code]
    if code.startswith("KMS") or "kms:" in message:
        needed = re.search(r"kms:\w+", message)
        permissions = needed[0] if needed else "kms:GenerateDataKey to write and kms:Decrypt to read"
        return (
            f"the KMS key of this object or bucket refuses: the credentials need {permissions}, and the key must be "
            "enabled; see MASTER_S3_KMS_KEY"
        )
    if code.startswith("AccessDenied") or error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 403:
        needed = re.search(r"not authorized to perform: (\S+)", message)
        permission = PERMISSIONS.get(error.operation_name, f"the permission for {error.operation_name}")
        return f"the credentials lack {needed[1] if needed else permission}; infra/ has the policies of each role"
    if is_transient(error):
        return f"wait until the service answers, then {_AGAIN}"
    return None


def _reason(error: ClientError | BotoCoreError) -> str:
    if isinstance(error, ClientError):
        return ": ".join(filter(None, code_and_message(error)))
    return str(error)
