"""SageMaker and AWS Batch: bad days, the requests to them, and what their answers mean.

The stand-in checks every request that a test makes here against AWS's own service models.
"""

from typing import Any

import pytest

from resources.lake.opening import open_store
from resources.training_jobs import batch as batch_backend
from resources.training_jobs import sagemaker as sagemaker_backend
from resources.training_jobs.aws import explained, open_client
from resources.training_jobs.backend import BackendError, BackendJob, BackendUnreachable, JobState
from resources.training_jobs.batch import BatchBackend, BatchConfiguration
from resources.training_jobs.sagemaker import SageMakerBackend, SageMakerConfiguration
from tests.aws_stand_in import IMAGE, ROLE, AwsStandIn
from tests.resources.training_jobs.launching import Clock, Runs, World, job
from tests.stand_in_jobs import Fate, Refusal
from tests.waiting import until

SUBMISSION = {"sagemaker": "CreateTrainingJob", "batch": "SubmitJob"}


# -- bad days ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fate", "progress"),
    [
        (Fate(interrupt_at="step 1"), [1, 1, 2, 2]),
        (Fate(interrupt_at="step 1", host_fails=True), [1, 1, 2, 2]),
        (Fate(no_capacity=True), [2, 2, 2, 2]),
    ],
    ids=["spot interruption", "lost machine", "no capacity"],
)
def test_another_attempt_resumes(
    aws: World, aws_stand_in: AwsStandIn, runs: Runs, fate: Fate, progress: list[int]
) -> None:
    aws_stand_in.fates = [fate]
    result = runs(aws.launcher(), job(steps=4, behave=[[2, "wait"]], attempts=[1]))
    assert result.success, runs.failure(result)
    assert aws.progress() == progress


def test_sagemaker_restarts_an_interrupted_job_in_the_same_attempt(
    sagemaker: World, aws_stand_in: AwsStandIn, runs: Runs
) -> None:
    aws_stand_in.fates = [Fate(interrupt_at="step 1", restarts=True)]
    result = runs(sagemaker.launcher(), job(steps=8, seconds=0.1))
    assert result.success, runs.failure(result)
    assert len(aws_stand_in.made("CreateTrainingJob")) == 1
    assert "step 7" in "\n".join(runs.lines(result))


@pytest.mark.parametrize(
    ("world", "fate"),
    [
        ("sagemaker", Fate(interrupt_at="step 1", restarts=True)),
        ("sagemaker", Fate(waits=5)),
        ("batch", Fate(waits=5)),
    ],
    indirect=["world"],
)
def test_a_job_that_waits_for_hours_is_not_silent(
    world: World, aws_stand_in: AwsStandIn, runs: Runs, fate: Fate
) -> None:
    clock = Clock()

    def hours_pass() -> None:
        if any(job.state == "waiting" for job in aws_stand_in.jobs):
            clock.jumped += 3600

    clock.meanwhile = hours_pass
    aws_stand_in.fates = [fate]
    assert runs(world.launcher(clock), job(steps=8, seconds=0.1)).success
    assert len(aws_stand_in.jobs) == 1


@pytest.mark.parametrize("lost", ["lost_answers", "lost_requests"])
def test_a_submission_that_is_lost_on_its_way_is_one_job(
    aws: World, aws_stand_in: AwsStandIn, runs: Runs, lost: str
) -> None:
    getattr(aws_stand_in, lost).update(CreateTrainingJob=1, SubmitJob=1)
    assert runs(aws.launcher(), job()).success
    assert len(aws_stand_in.jobs) == 1


def test_a_second_job_of_one_name_is_ended(batch: World, aws_stand_in: AwsStandIn) -> None:
    aws_stand_in.lost_answers.update(SubmitJob=1)
    aws_stand_in.unlisted.update(ListJobs=2)  # the queue does not list yet what it has accepted
    backend = BatchBackend(BatchConfiguration.model_validate(batch.configuration), retry_seconds=0.01)
    backend.submit(BackendJob("a-1", ("-c", "import time; time.sleep(600)")))
    assert len(aws_stand_in.running()) == 2
    aws_stand_in.unlisted.update(ListJobs=1)
    assert [status.state for _ in range(2) if (status := backend.status("a-1"))] == [JobState.RUNNING] * 2
    [left] = until(lambda: running if len(running := aws_stand_in.running()) == 1 else None)
    assert left is aws_stand_in.jobs[0]


def test_a_service_that_does_not_answer_for_a_while_is_tolerated(
    aws: World, aws_stand_in: AwsStandIn, runs: Runs
) -> None:
    clock = Clock()

    def fail() -> None:
        clock.meanwhile = lambda: None
        for operation in ("DescribeTrainingJob", "DescribeJobs"):
            aws_stand_in.refusals[operation] = [Refusal("ServiceUnavailable", "busy", 503)] * 2

    clock.meanwhile = fail
    assert runs(aws.launcher(clock), job()).success


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("UnrecognizedClientException", "AWS does not know these credentials"),
        ("ExpiredTokenException", "renew them"),
        ("AccessDeniedException", "the credentials lack the permission"),
        ("ResourceLimitExceeded", "raise it in Service Quotas"),
        ("ValidationException", "correct `backend` in the trainer's configuration"),
    ],
)
def test_a_refused_submission_names_the_call_and_what_to_do_and_the_next_run_need_not_wait(
    aws: World, aws_stand_in: AwsStandIn, runs: Runs, code: str, advice: str
) -> None:
    operation = SUBMISSION[aws.configuration["kind"]]
    aws_stand_in.refusals[operation] = [Refusal(code, "no", 400)]
    failure = runs.failure(runs(aws.launcher(), job()))
    assert f"{operation} tiny-1-" in failure
    assert advice in failure
    assert runs(aws.launcher(), job()).success


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"queue": "nowhere"}, "nowhere"),
        ({"definition": "nothing"}, "there is no job definition nothing"),
        ({"image": f"other@sha256:{'1' * 64}"}, "they should be the same"),
    ],
)
def test_a_batch_setting_that_does_not_fit_is_named(
    batch: World, runs: Runs, changed: dict[str, str], fault: str
) -> None:
    batch.configuration = {**batch.configuration, **changed}
    assert fault in runs.failure(runs(batch.launcher(), job()))


def test_more_processes_than_gpus_are_refused(batch: World) -> None:
    with pytest.raises(BackendError, match=r"wants 4 processes, one per GPU, and backend\.gpus is 1"):
        batch.backend.submit(BackendJob("a-1", ("-m", "program"), processes=4))


def test_a_lake_on_this_machines_disk_is_refused(aws: World, tmp_path: Any) -> None:
    aws.store = open_store(str(tmp_path))
    with pytest.raises(BackendError, match="cannot read the lake at"):
        aws.launcher()


def test_an_internal_failure_may_pass(aws_stand_in: AwsStandIn) -> None:
    aws_stand_in.refusals["DescribeTrainingJob"] = [Refusal("InternalFailure", "?", 500)]
    client = open_client("sagemaker", attempts=1)
    with (
        pytest.raises(BackendUnreachable, match="DescribeTrainingJob failed: InternalFailure"),
        explained("DescribeTrainingJob"),
    ):
        client.describe_training_job(TrainingJobName="a-1")


# -- requests ----------------------------------------------------------------------------------------------------------

OPTIONS: dict[str, dict[str, Any]] = {
    "sagemaker": {
        "spot": False,
        "subnets": ["subnet-1"],
        "security_groups": ["sg-1"],
        "kms_key": "arn:aws:kms:eu-central-1:123456789012:key/1",
        "environment": {"HF_HUB_OFFLINE": "1"},
    },
    "batch": {"gpus": 4, "vcpus": 8, "memory_mib": 60000, "environment": {"HF_HUB_OFFLINE": "1"}},
}


def test_every_option_of_a_job_fits_aws_models(aws: World, aws_stand_in: AwsStandIn) -> None:
    aws.configuration = {**aws.configuration, **OPTIONS[aws.configuration["kind"]]}
    aws.backend.submit(BackendJob("a-1", ("-c", "pass"), {"STEP": "7"}))
    assert aws_stand_in.faults == []
    assert aws_stand_in.jobs[0].environment == {"HF_HUB_OFFLINE": "1", "STEP": "7"}


def test_a_sagemaker_job_asks_for_spot(sagemaker: World, aws_stand_in: AwsStandIn) -> None:
    sagemaker.backend.submit(BackendJob("a-1", ("-c", "pass")))
    [body] = aws_stand_in.made("CreateTrainingJob")
    assert body["EnableManagedSpotTraining"]
    assert body["StoppingCondition"] == {"MaxRuntimeInSeconds": 24 * 3600, "MaxWaitTimeInSeconds": 48 * 3600}
    assert body["CheckpointConfig"]["S3Uri"] == f"{sagemaker.store.root}/_jobs/a-1/checkpoints"


def test_a_batch_job_asks_for_its_gpus(batch: World, aws_stand_in: AwsStandIn) -> None:
    batch.backend.submit(BackendJob("a-1", ("-c", "pass")))
    [body] = aws_stand_in.made("SubmitJob")
    assert body["containerOverrides"]["resourceRequirements"] == [{"type": "GPU", "value": "1"}]


def test_a_job_has_a_status_lines_and_a_page_in_the_console(aws: World) -> None:
    backend = aws.backend
    assert backend.image == IMAGE
    assert (backend.status("a-1"), backend.last_lines("a-1")) == (None, [])
    backend.submit(BackendJob("a-1", ("-c", "print('one'); print('two'); print('three')")))
    until(lambda: (status := backend.status("a-1")) and status.ended)
    backend.stop("a-1", "a job that has ended cannot be stopped")
    assert getattr(backend.status("a-1"), "state", None) is JobState.SUCCEEDED
    assert backend.last_lines("a-1", 2) == ["two", "three"]
    assert str(backend.link("a-1")).startswith("https://eu-central-1.console.aws.amazon.com/")


# -- what their answers mean -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "secondary", "reason", "state"),
    [
        ("InProgress", "Starting", "", JobState.WAITING),
        ("InProgress", "Interrupted", "", JobState.WAITING),
        ("InProgress", "Training", "", JobState.RUNNING),
        ("InProgress", "Uploading", "", JobState.RUNNING),
        ("Stopping", "Stopping", "", JobState.STOPPING),
        ("Completed", "Completed", "", JobState.SUCCEEDED),
        ("Stopped", "Stopped", "", JobState.STOPPED),
        ("Stopped", "MaxRuntimeExceeded", "", JobState.TIMED_OUT),
        ("Stopped", "MaxWaitTimeExceeded", "", JobState.NO_CAPACITY),
        ("Failed", "Failed", "AlgorithmError: loss is NaN, exit code: 2", JobState.FAILED),
        ("Failed", "Failed", "AlgorithmError: , exit code: 137", JobState.FAILED),
        ("Failed", "Failed", "AlgorithmError: ExecuteUserScriptError:\nExitCode 75", JobState.INTERRUPTED),
        ("Failed", "Failed", "CapacityError: Unable to provision", JobState.NO_CAPACITY),
        ("Failed", "Failed", "InternalServerError: We encountered", JobState.INTERRUPTED),
        ("Failed", "Failed", "ClientError: Cannot pull the image", JobState.FAILED),
    ],
)
def test_what_sagemaker_says(status: str, secondary: str, reason: str, state: JobState) -> None:
    described = {"TrainingJobStatus": status, "SecondaryStatus": secondary, "FailureReason": reason}
    assert sagemaker_backend.read_status(described).state is state


@pytest.mark.parametrize(
    ("described", "state"),
    [
        ({"status": "RUNNABLE"}, JobState.WAITING),
        ({"status": "STARTING"}, JobState.WAITING),
        ({"status": "RUNNING"}, JobState.RUNNING),
        ({"status": "RUNNING", "isTerminated": True}, JobState.STOPPING),
        ({"status": "SUCCEEDED"}, JobState.SUCCEEDED),
        ({"status": "FAILED", "isTerminated": True, "container": {"exitCode": 143}}, JobState.STOPPED),
        ({"status": "FAILED", "statusReason": "Host EC2 (instance i-1) terminated."}, JobState.INTERRUPTED),
        (
            {"status": "FAILED", "isTerminated": True, "statusReason": "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY"},
            JobState.NO_CAPACITY,
        ),
        (
            {
                "status": "FAILED",
                "isCancelled": True,
                "statusReason": "Canceled by JobStateTimeLimit action due to reason: CAPACITY:X",
            },
            JobState.NO_CAPACITY,
        ),
        (
            {
                "status": "FAILED",
                "isCancelled": True,
                "statusReason": "Canceled by JobStateTimeLimit action due to reason: MISCONFIGURATION:X",
            },
            JobState.FAILED,
        ),
        ({"status": "FAILED", "container": {"exitCode": 75}}, JobState.INTERRUPTED),
        ({"status": "FAILED", "container": {"exitCode": 76}}, JobState.INTERRUPTED),
        ({"status": "FAILED", "container": {"exitCode": 2}}, JobState.FAILED),
        (
            {"status": "FAILED", "container": {"exitCode": 137, "reason": "OutOfMemoryError: Container killed"}},
            JobState.FAILED,
        ),
        ({"status": "FAILED", "statusReason": "Job attempt duration exceeded timeout"}, JobState.TIMED_OUT),
    ],
)
def test_what_batch_says(described: Any, state: JobState) -> None:
    assert batch_backend.read_status(described).state is state


def test_aws_region_alone_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    assert open_client("batch").meta.region_name == "eu-north-1"


def test_a_region_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    configuration = SageMakerConfiguration(kind="sagemaker", image=IMAGE, role=ROLE, instance_type="ml.m5.large")
    with pytest.raises(BackendError, match="set AWS_REGION"):
        SageMakerBackend(configuration, "s3://lake")
