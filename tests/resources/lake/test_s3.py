"""What is S3's own: errors and what to do about them, outages, lost answers, encryption, ranged reads."""

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import boto3
import pytest

from resources.lake.s3 import READ_AHEAD, Patience, S3Store
from resources.lake.store import S3Options, StoreError, StoreUnreachable, open_store
from tests.s3_gate import S3Gate


@dataclass
class Clock:
    """Time that passes only while somebody sleeps."""

    now: float = 0.0
    pauses: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.pauses.append(seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(s3_root: str, s3_gate: S3Gate, clock: Clock) -> S3Store:
    return S3Store(s3_root, patience=Patience(clock=lambda: clock.now, sleep=clock.sleep))


@pytest.fixture
def behind(store: S3Store, s3_server: str) -> S3Store:
    """The same place, not through the gate."""
    return S3Store(store.root, S3Options(endpoint_url=s3_server))


# -- what S3 refuses ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "message", "told"),
    [
        (404, "NoSuchBucket", "", "NoSuchBucket; create the bucket"),
        (403, "AccessDenied", "Access Denied", "AccessDenied; the credentials in use lack s3:PutObject"),
        (
            403,
            "AccessDenied",
            "User: arn:aws:iam::1:user/ann is not authorized to perform: s3:PutObjectTagging on resource: x",
            "the credentials in use lack s3:PutObjectTagging",
        ),
        (403, "", "", "403; the credentials in use lack s3:PutObject"),
        (400, "", "", "400; no reason was given: check that the credentials have not expired"),
        (301, "PermanentRedirect", "", "PermanentRedirect; the bucket lies in another region: set AWS_REGION"),
        (400, "AuthorizationHeaderMalformed", "expecting 'x'", "another region: set AWS_REGION"),
        (400, "ExpiredToken", "", "ExpiredToken; the credentials have expired: renew them"),
        (400, "ExpiredTokenException", "", "the credentials have expired: renew them"),
        (403, "InvalidAccessKeyId", "", "S3 does not know these credentials: check AWS_ACCESS_KEY_ID"),
        (403, "SignatureDoesNotMatch", "", "S3 does not know these credentials"),
        (403, "RequestTimeTooSkewed", "", "the clock of this machine is wrong"),
        (403, "AccessDenied", "not authorized to perform: kms:GenerateDataKey on", "need kms:GenerateDataKey"),
        (400, "KMS.DisabledException", "", "KMS.DisabledException; the KMS key .* must be enabled"),
    ],
)
def test_a_refusal_names_the_call_the_place_and_what_to_do(
    store: S3Store, s3_gate: S3Gate, status: int, code: str, message: str, told: str
) -> None:
    s3_gate.refuse("PutObject", status, code, message, times=9)
    with pytest.raises(StoreError, match=rf"^PutObject on {store.root}/x failed: .*{told}"):
        store.put("x", b"rows")


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
    store: S3Store, s3_gate: S3Gate, call: str, use: Callable[[S3Store], object], permission: str
) -> None:
    s3_gate.refuse(call, 403, "AccessDenied", "Access Denied")
    with pytest.raises(StoreError, match=f"{call} on .* lack {permission}"):
        use(store)


def test_without_credentials_it_is_told_where_to_put_them(
    store: S3Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(StoreError, match=r"PutObject on .* failed: Unable to locate credentials; set AWS_PROFILE"):
        store.put("x", b"")


def test_a_refusal_is_not_tried_again(store: S3Store, s3_gate: S3Gate, clock: Clock) -> None:
    s3_gate.refuse("PutObject", 403, "AccessDenied")
    with pytest.raises(StoreError) as raised:
        store.put("x", b"")
    assert (clock.pauses, isinstance(raised.value, StoreUnreachable)) == ([], False)


def test_no_message_holds_the_credentials(
    store: S3Store, s3_gate: S3Gate, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIASEEN")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "topsecret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "sessiontoken")
    s3_gate.drop("PutObject", times=1)
    s3_gate.refuse("PutObject", 400, "ExpiredToken", "The provided token has expired.")
    with caplog.at_level(logging.WARNING), pytest.raises(StoreError) as raised:
        store.put("x", b"")
    told = f"{raised.value} {caplog.text}"
    assert not any(secret in told for secret in ("AKIASEEN", "topsecret", "sessiontoken"))


@pytest.mark.parametrize("name", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_either_variable_sets_the_region(store: S3Store, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for variable in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv(name, "eu-north-1")
    assert store.client.meta.region_name == "eu-north-1"
    assert S3Options().reading_options["client_kwargs"] == {"region_name": "eu-north-1"}


# -- outages -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spoil",
    [
        lambda gate, name: gate.drop(name, times=12),
        lambda gate, name: gate.refuse(name, 503, "SlowDown", times=12),
        lambda gate, name: gate.refuse(name, 500, "InternalError", times=12),
        lambda gate, name: gate.refuse(name, 502, times=12),
    ],
    ids=["unreachable", "slow down", "internal error", "bad gateway"],
)
@pytest.mark.parametrize(
    ("call", "use"),
    [
        ("PutObject", lambda store: store.put("x", b"rows")),
        ("GetObject", lambda store: store.get("there")),
        ("ListObjectsV2", lambda store: store.list("")),
    ],
    ids=["put", "get", "list"],
)
def test_an_outage_of_a_minute_is_waited_for(
    store: S3Store,
    behind: S3Store,
    s3_gate: S3Gate,
    clock: Clock,
    call: str,
    use: Callable[[S3Store], object],
    spoil: Callable[[S3Gate, str], None],
) -> None:
    behind.put("there", b"rows")
    store.exists("there")
    spoil(s3_gate, call)
    use(store)
    assert clock.now > 60
    assert behind.get("there") == b"rows"


def test_an_address_that_never_answered_is_told_after_20_seconds(store: S3Store, s3_gate: S3Gate, clock: Clock) -> None:
    s3_gate.drop("PutObject", times=10**6)
    with pytest.raises(
        StoreUnreachable, match=r"PutObject on .* failed: .*tried for 20 s: check the network and MASTER_S3"
    ):
        store.put("x", b"")
    assert 20 <= clock.now < 40


def test_an_outage_without_end_is_told_after_five_minutes(store: S3Store, s3_gate: S3Gate, clock: Clock) -> None:
    store.exists("x")
    s3_gate.drop("PutObject", times=10**6)
    with pytest.raises(StoreUnreachable, match=r"PutObject on .* failed: .*tried for 300 s: check the network"):
        store.put("x", b"")
    assert 300 <= clock.now < 330


def test_an_overload_without_end_is_told_after_five_minutes(store: S3Store, s3_gate: S3Gate, clock: Clock) -> None:
    s3_gate.refuse("PutObject", 503, "SlowDown", times=10**6)
    with pytest.raises(StoreUnreachable, match=r"failed: SlowDown; it was tried for 300 s"):
        store.put("x", b"")
    assert 300 <= clock.now < 330


def test_an_outage_is_told_when_it_begins(store: S3Store, s3_gate: S3Gate, caplog: pytest.LogCaptureFixture) -> None:
    s3_gate.drop("PutObject", times=3)
    with caplog.at_level(logging.WARNING):
        store.put("x", b"")
    assert [record.message.split(" failed")[0] for record in caplog.records] == [f"PutObject on {store.root}"]


def test_an_answer_that_is_cut_off_is_asked_for_again(store: S3Store, behind: S3Store, s3_gate: S3Gate) -> None:
    behind.put("x", bytes(10**6))
    s3_gate.cut_off("GetObject", times=2)
    assert store.get("x") == bytes(10**6)


def test_a_large_file_goes_up_in_parts_each_tried_again(
    store: S3Store, behind: S3Store, s3_gate: S3Gate, tmp_path: Path
) -> None:
    data = os.urandom(20 * 2**20)
    (tmp_path / "big").write_bytes(data)
    s3_gate.refuse("UploadPart", 503, "SlowDown", times=2)
    s3_gate.drop("UploadPart")
    store.put_file("big", tmp_path / "big")
    assert behind.get("big") == data


def test_an_upload_whose_last_answer_was_lost_is_there(
    store: S3Store, behind: S3Store, s3_gate: S3Gate, tmp_path: Path
) -> None:
    (tmp_path / "big").write_bytes(bytes(20 * 2**20))
    s3_gate.lose_answer("CompleteMultipartUpload")
    store.put_file("big", tmp_path / "big")
    assert behind.get("big") == bytes(20 * 2**20)


# -- conditional writes whose answer was lost --------------------------------------------------------------------------


def test_a_first_write_whose_answer_was_lost_is_known_as_ours(store: S3Store, s3_gate: S3Gate) -> None:
    s3_gate.lose_answer("PutObject")
    assert store.put_if_absent("once", b"ours")
    assert [call.status for call in s3_gate.calls if call.name == "PutObject"] == [None, 412]


def test_a_replacement_whose_answer_was_lost_is_known_as_ours(store: S3Store, behind: S3Store, s3_gate: S3Gate) -> None:
    behind.put("latest", b"1")
    _, version = store.get_with_version("latest")
    s3_gate.lose_answer("PutObject")
    assert store.replace_if_unchanged("latest", b"2", version)
    assert behind.get("latest") == b"2"


def test_a_write_that_another_overtook_during_an_outage_is_not_ours(
    store: S3Store, behind: S3Store, s3_gate: S3Gate
) -> None:
    s3_gate.drop("PutObject")
    s3_gate.before("PutObject", lambda: behind.put_if_absent("once", b"the same words"))
    assert not store.put_if_absent("once", b"the same words")


def test_a_conflict_with_a_write_under_way_is_tried_again(store: S3Store, s3_gate: S3Gate) -> None:
    s3_gate.refuse("PutObject", 409, "ConditionalRequestConflict")
    assert store.put_if_absent("once", b"ours")


def test_what_was_to_be_replaced_may_be_gone(store: S3Store, behind: S3Store) -> None:
    behind.put("latest", b"1")
    _, version = store.get_with_version("latest")
    behind.delete("latest")
    assert not store.replace_if_unchanged("latest", b"2", version)


# -- encryption, endpoint ----------------------------------------------------------------------------------------------

WRITES: list[Callable[[S3Store, Path], object]] = [
    lambda store, file: store.put("x", b"rows"),
    lambda store, file: store.put_file("x", file),
    lambda store, file: store.put_if_absent("x", b"rows"),
    lambda store, file: store.replace_if_unchanged("x", b"rows", None),
]


def encryption_asked_for(gate: S3Gate) -> list[tuple[str | None, str | None]]:
    begun = [call.headers for call in gate.calls if call.name in ("PutObject", "CreateMultipartUpload")]
    name = "x-amz-server-side-encryption"
    return [(headers.get(name), headers.get(f"{name}-aws-kms-key-id")) for headers in begun]


@pytest.mark.parametrize("write", WRITES)
def test_every_write_asks_for_the_encryption_that_is_set(
    s3_root: str, s3_gate: S3Gate, tmp_path: Path, write: Callable[[S3Store, Path], object]
) -> None:
    (tmp_path / "file").write_bytes(b"rows")
    write(S3Store(s3_root, S3Options(encryption="aws:kms", kms_key="key-1")), tmp_path / "file")
    assert encryption_asked_for(s3_gate) == [("aws:kms", "key-1")]


def test_an_upload_in_parts_asks_for_it_too(s3_root: str, s3_gate: S3Gate, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(20 * 2**20))
    S3Store(s3_root, S3Options(encryption="AES256")).put_file("x", tmp_path / "file")
    assert encryption_asked_for(s3_gate) == [("AES256", None)]


def test_without_a_setting_the_bucket_decides_on_encryption(store: S3Store, s3_gate: S3Gate) -> None:
    store.put("x", b"rows")
    assert encryption_asked_for(s3_gate) == [(None, None)]


def test_the_endpoint_that_is_set_counts_more_than_the_environments(
    s3_root: str, s3_server: str, s3_gate: S3Gate
) -> None:
    open_store(s3_root, S3Options(endpoint_url=s3_server)).put("x", b"rows")
    assert s3_gate.calls == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"kms_key": "key-1"}, "MASTER_S3_KMS_KEY needs MASTER_S3_ENCRYPTION=aws:kms"),
        ({"kms_key": "key-1", "encryption": "AES256"}, "needs MASTER_S3_ENCRYPTION=aws:kms"),
        ({"encryption": "rot13"}, "should be AES256 or aws:kms"),
        ({"endpoint_url": "store:9000"}, "should look like https://host"),
        ({"endpoint_url": "http://ann:secret@store"}, "must not hold credentials"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, str], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        S3Options(**options)  # type: ignore[arg-type]


def test_options_come_back_out_of_an_environment() -> None:
    options = S3Options("http://store:9000", "aws:kms", "key-1")
    assert S3Options.from_environment(options.to_environment()) == options
    assert S3Options.from_environment({"MASTER_S3_KMS_KEY": ""}) == S3Options()


# -- reading in pieces -------------------------------------------------------------------------------------------------


@pytest.fixture
def large(store: S3Store, s3_gate: S3Gate) -> Iterator[bytes]:
    data = os.urandom(2**20)
    store.put("large", data)
    s3_gate.calls.clear()
    yield data


def test_the_tail_of_a_file_is_one_small_request(store: S3Store, s3_gate: S3Gate, large: bytes) -> None:
    assert store.get_tail("large", 100) == large[-100:]
    assert [call.bytes for call in s3_gate.calls] == [100]


def test_a_file_is_read_at_any_place_and_little_more_is_fetched(store: S3Store, s3_gate: S3Gate, large: bytes) -> None:
    with store.open("large") as file:
        file.seek(500_000)
        assert file.read(1000) + file.read(1000) == large[500_000:502_000]
        file.seek(-10, os.SEEK_END)
        assert file.read() == large[-10:]
    assert [call.bytes for call in s3_gate.calls] == [READ_AHEAD, READ_AHEAD]


def test_a_file_that_is_read_through_is_whole(store: S3Store, large: bytes) -> None:
    with store.open("large") as file:
        assert b"".join(iter(lambda: file.read(100_001), b"")) == large
    with store.open("large") as file:
        assert file.read() == large


def test_a_file_that_is_replaced_while_it_is_read_is_never_mixed(store: S3Store, behind: S3Store, large: bytes) -> None:
    with store.open("large") as file:
        behind.put("large", bytes(2**20))
        with pytest.raises(StoreError, match="was replaced while it was read"):
            file.read(10)


# -- what dead writers left --------------------------------------------------------------------------------------------


def test_uploads_that_were_never_finished_are_swept_by_age(store: S3Store, s3_server: str) -> None:
    client = boto3.client("s3", endpoint_url=s3_server)
    client.create_multipart_upload(Bucket=store.bucket, Key=f"{store.prefix}/a/big.parquet")
    client.create_multipart_upload(Bucket=store.bucket, Key="elsewhere/big.parquet")
    # The server of the tests dates every upload 2010.
    assert store.sweep_unfinished(datetime(2000, 1, 1, tzinfo=UTC)) == []
    assert store.sweep_unfinished(datetime(2020, 1, 1, tzinfo=UTC), dry_run=True) == ["a/big.parquet"]
    assert store.sweep_unfinished(datetime(2020, 1, 1, tzinfo=UTC)) == ["a/big.parquet"]
    left = client.list_multipart_uploads(Bucket=store.bucket)["Uploads"]
    assert [upload["Key"] for upload in left] == ["elsewhere/big.parquet"]
    client.abort_multipart_upload(Bucket=store.bucket, Key=left[0]["Key"], UploadId=left[0]["UploadId"])
