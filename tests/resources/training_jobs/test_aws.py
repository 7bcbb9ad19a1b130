"""SageMaker and AWS Batch as places: what they are asked, and what becomes of their answers on a bad day.

Every request that a test makes here is checked against AWS's own service models by the stand-in.
"""

from typing import Any

import pytest

from resources.lake.opening import open_store
from resources.training_jobs import batch as batch_place
from resources.training_jobs import sagemaker as sagemaker_place
from resources.training_jobs.aws import explained, open_client
from resources.training_jobs.backend import BackendError, BackendUnreachable, Job, JobState
from resources.training_jobs.batch import BatchBackend, BatchConfiguration
from resources.training_jobs.configuration import TrainerConfiguration
from resources.training_jobs.sagemaker import SageMakerBackend, SageMakerConfiguration
from tests.aws_stand_in import IMAGE, AwsStandIn, Fate, Refusal
from tests.resources.training_jobs.launching import Clock, Runs, World, work
from tests.waiting import until

SUBMISSION = {"sagemaker": "CreateTrainingJob", "batch": "SubmitJob"}


def place_of(world: World) -> Any:
    return world.trainer().backend


# -- bad days ----------------------------------------------------------------------------------------------------------


def test_a_spot_interruption_costs_the_step_under_way(aws: World, aws_stand_in: AwsStandIn, runs: Runs) -> None:
    aws_stand_in.fates = [Fate(interrupt_at="step 1")]
    result = runs(aws.trainer(), work(steps=4, behave=[[2, "wait"]], attempts=[1]))
    assert result.success, runs.failure(result)
    assert aws.progress() == [1, 1, 2, 2]


def test_sagemaker_restarts_an_interrupted_job_in_the_same_attempt(
    sagemaker: World, aws_stand_in: AwsStandIn, runs: Runs
) -> None:
    aws_stand_in.fates = [Fate(interrupt_at="step 1", restarts=True)]
    result = runs(sagemaker.trainer(), work(steps=8, seconds=0.1))
    assert result.success, runs.failure(result)
    assert len(aws_stand_in.made("CreateTrainingJob")) == 1
    assert "step 7" in "\n".join(runs.lines(result))


def test_a_restarted_job_is_not_silent_for_the_hours_it_waited(
    sagemaker: World, aws_stand_in: AwsStandIn, runs: Runs
) -> None:
    clock = Clock()

    def hours_pass() -> None:
        if any(job.started and job.state == "waiting" for job in aws_stand_in.jobs):
            clock.jumped += 3600

    clock.meanwhile = hours_pass
    aws_stand_in.fates = [Fate(interrupt_at="step 1", restarts=True)]
    assert runs(sagemaker.trainer(clock), work(steps=8, seconds=0.1)).success
    assert len(aws_stand_in.jobs) == 1


def test_a_lost_node_is_replaced(aws: World, aws_stand_in: AwsStandIn, runs: Runs) -> None:
    aws_stand_in.fates = [Fate(interrupt_at="step 1", host_fails=True)]
    assert runs(aws.trainer(), work(behave=[[2, "wait"]], attempts=[1])).success
    assert aws.progress() == [1, 1, 2]


def test_capacity_that_is_refused_twice_and_then_granted(aws: World, aws_stand_in: AwsStandIn, runs: Runs) -> None:
    aws_stand_in.fates = [Fate(no_capacity=True), Fate(no_capacity=True)]
    assert runs(aws.trainer(), work()).success
    assert [end["state"] for end in aws.attempts()] == ["no_capacity", "no_capacity", "succeeded"]


def test_a_job_that_waits_long_is_not_silent(aws: World, aws_stand_in: AwsStandIn, runs: Runs) -> None:
    clock = Clock()

    def hours_pass() -> None:
        if not any(job.started for job in aws_stand_in.jobs):
            clock.jumped += 3600

    clock.meanwhile = hours_pass
    aws_stand_in.fates = [Fate(waits=5)]
    assert runs(aws.trainer(clock), work()).success
    assert aws.progress() == [1, 1, 1]


def test_a_submission_whose_answer_is_lost_is_one_job(aws: World, aws_stand_in: AwsStandIn, runs: Runs) -> None:
    aws_stand_in.lost_answers.update(CreateTrainingJob=1, SubmitJob=1)
    assert runs(aws.trainer(), work()).success
    assert len(aws_stand_in.jobs) == 1


def test_a_submission_that_is_lost_is_made_again(aws: World, aws_stand_in: AwsStandIn, runs: Runs) -> None:
    aws_stand_in.lost_requests.update(CreateTrainingJob=1, SubmitJob=1)
    assert runs(aws.trainer(), work()).success
    assert len(aws_stand_in.jobs) == 1


def test_a_second_job_of_one_name_is_ended(batch: World, aws_stand_in: AwsStandIn) -> None:
    job = Job("a-1", ("-c", "import time; time.sleep(600)"))
    aws_stand_in.lost_answers.update(SubmitJob=1)
    aws_stand_in.unlisted.update(ListJobs=2)  # the queue does not know yet what it has taken
    place = _quick_batch(batch)
    place.submit(job)
    assert len(aws_stand_in.running()) == 2
    aws_stand_in.unlisted.update(ListJobs=1)
    assert [status.state for _ in range(2) if (status := place.status("a-1"))] == [JobState.RUNNING] * 2
    [left] = until(lambda: running if len(running := aws_stand_in.running()) == 1 else None)
    assert left is aws_stand_in.jobs[0]


def _quick_batch(world: World) -> BatchBackend:
    return BatchBackend(BatchConfiguration.model_validate(world.configuration), retry_seconds=0.01)


def test_a_place_that_does_not_answer_for_a_while_is_borne(aws: World, aws_stand_in: AwsStandIn, runs: Runs) -> None:
    trainer, clock = aws.trainer(), Clock()
    trainer = aws.trainer(clock)

    def fall_silent() -> None:
        if not clock.jumped:
            clock.jumped = 1
            for operation in ("DescribeTrainingJob", "DescribeJobs"):
                aws_stand_in.refusals[operation] = [Refusal("ServiceUnavailable", "busy", 503)] * 2

    clock.meanwhile = fall_silent
    assert runs(trainer, work()).success


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("UnrecognizedClientException", "the credentials are wrong"),
        ("ExpiredTokenException", "renew them and materialise again"),
        ("AccessDeniedException", "lack this permission"),
        ("ResourceLimitExceeded", "raise it in Service Quotas"),
        ("ValidationException", "correct `backend` in the trainer's configuration"),
    ],
)
def test_a_refused_submission_names_the_call_and_what_to_do(
    aws: World, aws_stand_in: AwsStandIn, runs: Runs, code: str, advice: str
) -> None:
    operation = SUBMISSION[aws.configuration["kind"]]
    aws_stand_in.refusals[operation] = [Refusal(code, "no", 400)]
    failure = runs.failure(runs(aws.trainer(), work()))
    assert f"{operation} tiny-1-" in failure
    assert advice in failure


def test_after_a_refused_submission_the_next_launch_need_not_wait(
    aws: World, aws_stand_in: AwsStandIn, runs: Runs
) -> None:
    aws_stand_in.refusals[SUBMISSION[aws.configuration["kind"]]] = [Refusal("AccessDeniedException", "no", 400)]
    runs(aws.trainer(), work())
    assert runs(aws.trainer(), work()).success


def test_an_unknown_queue_is_named(batch: World, runs: Runs) -> None:
    batch.configuration = {**batch.configuration, "queue": "nowhere"}
    assert "JobQueue nowhere not found" in runs.failure(runs(batch.trainer(), work()))


def test_an_unknown_job_definition_is_named(batch: World, runs: Runs) -> None:
    batch.configuration = {**batch.configuration, "definition": "nothing"}
    assert "there is no job definition nothing" in runs.failure(runs(batch.trainer(), work()))


def test_another_image_than_the_definitions_is_refused(batch: World, runs: Runs) -> None:
    batch.configuration = {**batch.configuration, "image": f"other@sha256:{'1' * 64}"}
    assert "they should be the same" in runs.failure(runs(batch.trainer(), work()))


def test_more_processes_than_gpus_are_refused(batch: World) -> None:
    with pytest.raises(BackendError, match=r"wants 4 processes, one a GPU, and backend\.gpus is 1"):
        place_of(batch).submit(Job("a-1", ("-m", "program"), processes=4))


@pytest.mark.parametrize("kind", ["sagemaker", "batch"])
def test_a_lake_on_this_machines_disk_is_refused(kind: str, request: pytest.FixtureRequest, tmp_path: Any) -> None:
    place = TrainerConfiguration.model_validate({"backend": request.getfixturevalue(kind).configuration}).backend
    with pytest.raises(BackendError, match="cannot read the lake at"):
        place.open(open_store(str(tmp_path)), False)


def test_no_answer_at_all_is_told_as_passing(aws_stand_in: AwsStandIn) -> None:
    aws_stand_in.refusals["DescribeTrainingJob"] = [Refusal("InternalFailure", "?", 500)]
    client = open_client("sagemaker", attempts=1)
    with (
        pytest.raises(BackendUnreachable, match="DescribeTrainingJob failed: InternalFailure"),
        explained("DescribeTrainingJob"),
    ):
        client.describe_training_job(TrainingJobName="a-1")


# -- what they are asked -----------------------------------------------------------------------------------------------


def test_every_option_of_a_job_fits_aws_models(aws: World, aws_stand_in: AwsStandIn) -> None:
    options: dict[str, dict[str, Any]] = {
        "sagemaker": {
            "spot": False,
            "subnets": ["subnet-1"],
            "security_groups": ["sg-1"],
            "kms_key": "arn:aws:kms:eu-central-1:123456789012:key/1",
            "environment": {"HF_HUB_OFFLINE": "1"},
        },
        "batch": {"gpus": 4, "vcpus": 8, "memory_mib": 60000, "environment": {"HF_HUB_OFFLINE": "1"}},
    }
    configured = TrainerConfiguration.model_validate(
        {"backend": {**aws.configuration, **options[aws.configuration["kind"]]}}
    )
    configured.place.open(aws.store, False).submit(Job("a-1", ("-c", "pass"), {"STEP": "7"}))
    assert aws_stand_in.faults == []
    assert aws_stand_in.jobs[0].environment == {"HF_HUB_OFFLINE": "1", "STEP": "7"}


def test_a_spot_job_says_so(sagemaker: World, aws_stand_in: AwsStandIn) -> None:
    place_of(sagemaker).submit(Job("a-1", ("-c", "pass")))
    [body] = aws_stand_in.made("CreateTrainingJob")
    assert body["EnableManagedSpotTraining"]
    assert body["StoppingCondition"] == {"MaxRuntimeInSeconds": 24 * 3600, "MaxWaitTimeInSeconds": 48 * 3600}
    assert body["CheckpointConfig"]["S3Uri"] == f"{sagemaker.store.root}/_jobs/a-1/checkpoints"


def test_a_batch_job_asks_for_its_gpus(batch: World, aws_stand_in: AwsStandIn) -> None:
    place_of(batch).submit(Job("a-1", ("-c", "pass")))
    [body] = aws_stand_in.made("SubmitJob")
    assert body["containerOverrides"]["resourceRequirements"] == [{"type": "GPU", "value": "1"}]


def test_the_image_is_the_configurations(aws: World) -> None:
    assert aws.trainer().image == IMAGE


def test_a_job_that_nobody_submitted_is_unknown(aws: World) -> None:
    place = place_of(aws)
    assert place.status("a-1") is None
    assert place.last_lines("a-1") == []


def test_stopping_what_has_ended_does_nothing(aws: World) -> None:
    place = place_of(aws)
    place.submit(Job("a-1", ("-c", "pass")))
    until(lambda: place.status("a-1").ended)
    place.stop("a-1", "enough")
    assert place.status("a-1").state is JobState.SUCCEEDED


def test_the_newest_lines_of_a_log_are_its_last_lines(aws: World) -> None:
    place = place_of(aws)
    place.submit(Job("a-1", ("-c", "print('one'); print('two'); print('three')")))
    until(lambda: place.status("a-1").ended)
    assert place.last_lines("a-1", 2) == ["two", "three"]


def test_people_find_a_job_in_the_console(aws: World) -> None:
    place = place_of(aws)
    place.submit(Job("a-1", ("-c", "pass")))
    assert place.link("a-1").startswith("https://eu-central-1.console.aws.amazon.com/")


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
        ("Stopped", "MaxRuntimeExceeded", "", JobState.FAILED),
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
    assert sagemaker_place.read_status(described).state is state


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
        ({"status": "FAILED", "statusReason": "Job attempt duration exceeded timeout"}, JobState.FAILED),
    ],
)
def test_what_batch_says(described: Any, state: JobState) -> None:
    assert batch_place.read_status(described).state is state


def test_aws_region_alone_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv("AWS_REGION", "eu-north-1")
    assert open_client("batch").meta.region_name == "eu-north-1"


def test_a_region_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(BackendError, match="there is no AWS region; set AWS_REGION"):
        SageMakerBackend(
            SageMakerConfiguration(kind="sagemaker", image=IMAGE, role=_ROLE, instance_type="ml.m5.large"), "s3://lake"
        )


_ROLE = "arn:aws:iam::123456789012:role/trainer"
