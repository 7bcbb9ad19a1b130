"""S3's own behaviour: errors and what to do about them, outages, lost answers, encryption, ranged reads."""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import boto3
import pytest

from resources.lake.opening import open_store
from resources.lake.ranged_file import READ_AHEAD
from resources.lake.s3 import S3Store
from resources.lake.store import S3Options, StoreError, StoreUnreachable
from tests.certificates import server_context
from tests.fake_endpoint import FakeEndpoint
from tests.s3_proxy import S3Proxy

Use = Callable[[S3Store], object]


@dataclass
class Clock:
    """Stands in for the module `time`; time passes only while somebody sleeps."""

    now: float = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock by which botocore waits between the attempts of a request."""
    clock = Clock()
    monkeypatch.setattr("botocore.endpoint.time", clock)
    return clock


@pytest.fixture
def store(s3_root: str, s3_proxy: S3Proxy, clock: Clock) -> S3Store:
    return S3Store(s3_root)


@pytest.fixture
def direct(store: S3Store, s3_server: str) -> S3Store:
    """The same prefix, reached without the proxy."""
    return S3Store(store.root, S3Options(endpoint_url=s3_server))


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "message", "advice"),
    [
        (404, "NoSuchBucket", "", "NoSuchBucket; create the bucket"),
        (403, "AccessDenied", "Access Denied", "AccessDenied: Access Denied; the credentials lack s3:PutObject"),
        (
            403,
            "AccessDenied",
            "User: arn:aws:iam::1:user/ann is not authorized to perform: s3:PutObjectTagging on resource: x",
            "the credentials lack s3:PutObjectTagging",
        ),
        (403, "", "", "403.*; the credentials lack s3:PutObject"),
        (400, "", "", "400.*; S3 gave no reason: check that the credentials have not expired"),
        (301, "PermanentRedirect", "", "PermanentRedirect; the bucket is in another region: set AWS_REGION"),
        (400, "AuthorizationHeaderMalformed", "expecting 'x'", "another region: set AWS_REGION"),
        (400, "ExpiredToken", "", "ExpiredToken; the credentials have expired: renew them"),
        (400, "ExpiredTokenException", "", "the credentials have expired: renew them"),
        (403, "InvalidAccessKeyId", "", "AWS does not know these credentials: check AWS_ACCESS_KEY_ID"),
        (403, "SignatureDoesNotMatch", "", "AWS does not know these credentials"),
        (403, "RequestTimeTooSkewed", "", "the clock of this machine is wrong"),
        (403, "AccessDenied", "not authorized to perform: kms:GenerateDataKey on", "need kms:GenerateDataKey"),
        (400, "KMS.DisabledException", "", "KMS.DisabledException; the KMS key .* must be enabled"),
    ],
)
def test_a_refusal_names_the_call_the_address_and_what_to_do_and_is_not_repeated(
    store: S3Store, s3_proxy: S3Proxy, clock: Clock, status: int, code: str, message: str, advice: str
) -> None:
    s3_proxy.refuse("PutObject", status, code, message, times=9)
    with pytest.raises(StoreError, match=rf"^PutObject on {store.root}/x failed: .*{advice}") as raised:
        store.put("x", b"rows")
    assert (clock.now, isinstance(raised.value, StoreUnreachable)) == (0, False)


@pytest.mark.parametrize(
    ("call", "use", "permission"),
    [
        ("GetObject", lambda store: store.get("x"), "s3:GetObject on it, or s3:ListBucket"),
        ("GetObject", lambda store: store.exists("x"), "s3:GetObject on it, or s3:ListBucket"),
        ("GetObject", lambda store: store.open("x"), "s3:GetObject on it, or s3:ListBucket"),
        ("ListObjectsV2", lambda store: store.list("x"), "s3:ListBucket on the bucket"),
        ("DeleteObject", lambda store: store.delete("x"), "s3:DeleteObject"),
        ("PutObject", lambda store: store.put_if_absent("x", b""), "s3:PutObject"),
    ],
)
def test_each_call_names_the_permission_it_needs(
    store: S3Store, s3_proxy: S3Proxy, call: str, use: Use, permission: str
) -> None:
    s3_proxy.refuse(call, 403, "AccessDenied", "Access Denied")
    with pytest.raises(StoreError, match=f"{call} on .* lack {permission}"):
        use(store)


def test_missing_credentials_are_reported_with_where_to_set_them(
    store: S3Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(StoreError, match=r"PutObject on .* failed: Unable to locate credentials; set AWS_PROFILE"):
        store.put("x", b"")


def test_no_message_holds_the_credentials(
    store: S3Store, s3_proxy: S3Proxy, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    secrets = {"AWS_ACCESS_KEY_ID": "AKIASEEN", "AWS_SECRET_ACCESS_KEY": "topsecret", "AWS_SESSION_TOKEN": "session7"}
    for name, secret in secrets.items():
        monkeypatch.setenv(name, secret)
    s3_proxy.drop("PutObject", times=1)
    s3_proxy.refuse("PutObject", 400, "ExpiredToken", "The provided token has expired.")
    with caplog.at_level(logging.WARNING), pytest.raises(StoreError) as raised:
        store.put("x", b"")
    assert not any(secret in f"{raised.value} {caplog.text}" for secret in secrets.values())


@pytest.mark.parametrize("name", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_either_variable_sets_the_region(store: S3Store, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for variable in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv(name, "eu-north-1")
    assert store.client.meta.region_name == "eu-north-1"
    assert S3Options().reading_options["client_kwargs"]["region_name"] == "eu-north-1"


def test_ssl_cert_file_names_the_trusted_certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context, certificate = server_context(tmp_path)
    server = FakeEndpoint(context)  # no S3, but it answers
    server.start()
    store = S3Store("s3://bucket", S3Options(endpoint_url=server.base_url))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "some")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    for variable in ("SSL_CERT_FILE", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(StoreError, match="certificate of the authority that signed it into SSL_CERT_FILE"):
        store.put("x", b"")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert S3Options().reading_options["client_kwargs"]["verify"] == str(certificate)
    store = S3Store("s3://bucket", S3Options(endpoint_url=server.base_url))
    assert not store.exists("x")
    server.stop()


# -- outages -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "use"),
    [
        ("PutObject", lambda store: store.put("x", b"rows")),
        ("GetObject", lambda store: store.get("there")),
        ("ListObjectsV2", lambda store: store.list("")),
    ],
    ids=["put", "get", "list"],
)
@pytest.mark.parametrize("status", [None, 500, 502, 503], ids=lambda status: f"{status or 'unreachable'}")
def test_a_request_outlasts_an_outage(
    store: S3Store, direct: S3Store, s3_proxy: S3Proxy, call: str, use: Use, status: int | None
) -> None:
    direct.put("there", b"rows")
    store.exists("there")
    s3_proxy.refuse(call, status, times=12) if status else s3_proxy.drop(call, times=12)
    use(store)
    assert s3_proxy.names().count(call) >= 13


def test_a_request_that_is_throttled_is_repeated(store: S3Store, s3_proxy: S3Proxy) -> None:
    s3_proxy.refuse("PutObject", 503, "SlowDown")
    store.put("x", b"rows")
    assert store.get("x") == b"rows"


def test_an_address_that_never_answered_is_reported_after_some_seconds(
    store: S3Store, s3_proxy: S3Proxy, clock: Clock
) -> None:
    for call in ("HeadBucket", "PutObject"):
        s3_proxy.drop(call, times=10**6)
    with pytest.raises(StoreUnreachable, match=r"on .* failed: .*; check the network, .* MASTER_S3_ENDPOINT_URL"):
        store.put("x", b"")
    assert clock.now < 20


@pytest.mark.parametrize("status", [None, 503], ids=["unreachable", "overloaded"])
def test_an_outage_without_end_is_reported_after_about_five_minutes(
    store: S3Store, s3_proxy: S3Proxy, clock: Clock, status: int | None
) -> None:
    store.exists("x")
    s3_proxy.refuse("PutObject", status, times=999) if status else s3_proxy.drop("PutObject", times=999)
    with pytest.raises(StoreUnreachable, match=r"PutObject on .* failed: .*nothing finished is lost"):
        store.put("x", b"")
    assert 150 < clock.now < 450


def test_an_outage_is_logged_once_when_it_begins(
    store: S3Store, s3_proxy: S3Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    s3_proxy.drop("PutObject", times=3)
    with caplog.at_level(logging.WARNING, logger="resources"):
        store.put("x", b"")
    assert [record.message.split(" failed")[0] for record in caplog.records] == [f"PutObject on {store.root}"]


def test_an_answer_that_is_cut_off_is_requested_again(store: S3Store, direct: S3Store, s3_proxy: S3Proxy) -> None:
    direct.put("x", bytes(10**6))
    s3_proxy.cut_off("GetObject", times=2)
    assert store.get("x") == bytes(10**6)


def test_a_large_file_is_uploaded_in_parts_each_of_which_is_repeated(
    store: S3Store, direct: S3Store, s3_proxy: S3Proxy, tmp_path: Path
) -> None:
    data = os.urandom(20 * 2**20)
    (tmp_path / "big").write_bytes(data)
    s3_proxy.refuse("UploadPart", 503, times=2)
    s3_proxy.drop("UploadPart")
    s3_proxy.lose_answer("CompleteMultipartUpload")
    store.put_file("big", tmp_path / "big")
    assert direct.get("big") == data


# -- conditional writes whose answer was lost --------------------------------------------------------------------------


def test_a_first_write_whose_answer_was_lost_counts_as_written(store: S3Store, s3_proxy: S3Proxy) -> None:
    s3_proxy.lose_answer("PutObject")
    assert store.put_if_absent("once", b"ours")
    assert [call.status for call in s3_proxy.calls if call.name == "PutObject"] == [None, 412]


def test_a_replacement_whose_answer_was_lost_counts_as_written(
    store: S3Store, direct: S3Store, s3_proxy: S3Proxy
) -> None:
    direct.put("latest", b"1")
    _, version = store.get_with_version("latest")
    s3_proxy.lose_answer("PutObject")
    assert store.replace_if_unchanged("latest", b"2", version)
    assert direct.get("latest") == b"2"


def test_another_writer_of_the_same_bytes_during_an_outage_is_recognised(
    store: S3Store, direct: S3Store, s3_proxy: S3Proxy
) -> None:
    s3_proxy.drop("PutObject")
    s3_proxy.before("PutObject", lambda: direct.put_if_absent("once", b"the same bytes"))
    assert not store.put_if_absent("once", b"the same bytes")


def test_a_write_in_conflict_with_another_one_is_repeated(store: S3Store, s3_proxy: S3Proxy) -> None:
    s3_proxy.refuse("PutObject", 409, "ConditionalRequestConflict")
    assert store.put_if_absent("once", b"ours")


def test_an_object_that_was_deleted_is_not_replaced(store: S3Store, direct: S3Store) -> None:
    direct.put("latest", b"1")
    _, version = store.get_with_version("latest")
    direct.delete("latest")
    assert not store.replace_if_unchanged("latest", b"2", version)


# -- options -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("write", "size"),
    [
        (lambda store, file: store.put("x", file.read_bytes()), 4),
        (lambda store, file: store.put_file("x", file), 4),
        (lambda store, file: store.put_file("x", file), 20 * 2**20),  # in parts
        (lambda store, file: store.put_if_absent("x", file.read_bytes()), 4),
        (lambda store, file: store.replace_if_unchanged("x", file.read_bytes(), None), 4),
    ],
)
@pytest.mark.parametrize("options", [S3Options(), S3Options(encryption="aws:kms", kms_key="key-1")], ids=["", "kms"])
def test_every_write_requests_the_encryption_that_is_set(
    s3_root: str,
    s3_proxy: S3Proxy,
    tmp_path: Path,
    write: Callable[[S3Store, Path], object],
    size: int,
    options: S3Options,
) -> None:
    (tmp_path / "file").write_bytes(bytes(size))
    write(S3Store(s3_root, options), tmp_path / "file")
    (headers,) = [call.headers for call in s3_proxy.calls if call.name in ("PutObject", "CreateMultipartUpload")]
    name = "x-amz-server-side-encryption"
    found = (headers.get(name), headers.get(f"{name}-aws-kms-key-id"))
    assert found == (options.encryption, options.kms_key)


def test_the_endpoint_of_the_options_takes_precedence_over_the_environment(
    s3_root: str, s3_server: str, s3_proxy: S3Proxy
) -> None:
    open_store(s3_root, S3Options(endpoint_url=s3_server)).put("x", b"rows")
    assert s3_proxy.calls == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kms_key": "key-1"}, "MASTER_S3_KMS_KEY needs MASTER_S3_ENCRYPTION=aws:kms"),
        ({"kms_key": "key-1", "encryption": "AES256"}, "needs MASTER_S3_ENCRYPTION=aws:kms"),
        ({"encryption": "rot13"}, "should be AES256 or aws:kms"),
        ({"endpoint_url": "store:9000"}, "should look like https://host"),
        ({"endpoint_url": "http://ann:secret@store"}, "must not hold credentials"),
    ],
)
def test_contradictory_or_invalid_options_are_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        S3Options(**options)  # type: ignore[arg-type]


def test_options_survive_the_way_through_an_environment() -> None:
    options = S3Options("http://store:9000", "aws:kms", "key-1")
    assert S3Options.from_environment(options.to_environment()) == options
    assert S3Options.from_environment({"MASTER_S3_KMS_KEY": ""}) == S3Options()


# -- ranged reads ------------------------------------------------------------------------------------------------------


@pytest.fixture
def large(store: S3Store, s3_proxy: S3Proxy) -> bytes:
    """The content of the file `large`; the proxy's record of calls is empty."""
    data = os.urandom(2**20)
    store.put("large", data)
    s3_proxy.calls.clear()
    return data


def test_a_file_is_read_from_any_position_and_little_more_is_fetched(
    store: S3Store, s3_proxy: S3Proxy, large: bytes
) -> None:
    with store.open("large") as file:
        file.seek(-10, os.SEEK_END)
        assert file.read() == large[-10:]
        file.seek(500_000)
        assert file.read(1000) + file.read(1000) == large[500_000:502_000]
    assert [call.bytes for call in s3_proxy.calls] == [READ_AHEAD, READ_AHEAD]


@pytest.mark.parametrize("length", [100_001, -1])
def test_a_file_that_is_read_from_beginning_to_end_is_complete(store: S3Store, large: bytes, length: int) -> None:
    with store.open("large") as file:
        assert b"".join(iter(lambda: file.read(length), b"")) == large


def test_a_file_that_is_replaced_while_it_is_read_is_never_mixed(store: S3Store, direct: S3Store, large: bytes) -> None:
    with store.open("large") as file:
        direct.put("large", bytes(2**20))
        with pytest.raises(StoreError, match="was replaced while it was read"):
            file.read(10)


# -- unfinished uploads ------------------------------------------------------------------------------------------------


def test_unfinished_uploads_are_deleted_by_age(store: S3Store, s3_server: str) -> None:
    client = boto3.client("s3", endpoint_url=s3_server)
    client.create_multipart_upload(Bucket=store.bucket, Key=f"{store.prefix}/a/big.parquet")
    client.create_multipart_upload(Bucket=store.bucket, Key="elsewhere/big.parquet")
    # The server of the tests dates every upload 2010.
    assert store.delete_unfinished(datetime(2000, 1, 1, tzinfo=UTC)) == []
    assert store.delete_unfinished(datetime(2020, 1, 1, tzinfo=UTC), dry_run=True) == ["a/big.parquet"]
    assert store.delete_unfinished(datetime(2020, 1, 1, tzinfo=UTC)) == ["a/big.parquet"]
    left = client.list_multipart_uploads(Bucket=store.bucket)["Uploads"]
    assert [upload["Key"] for upload in left] == ["elsewhere/big.parquet"]
    client.abort_multipart_upload(Bucket=store.bucket, Key=left[0]["Key"], UploadId=left[0]["UploadId"])
