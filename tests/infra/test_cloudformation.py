"""The templates, linted, and deployed to a stand-in of CloudFormation with the pipeline on what they made."""

import json
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from cfnlint.api import lint_file  # type: ignore[import-untyped]
from cfnlint.decode import decode  # type: ignore[import-untyped]
from dagster import DagsterInstance

from assets.dialogue_plans.schema import DIALOGUE_PLANS
from assets.seeds.schema import SEEDS
from master_dagster.deployment import load_deployment
from master_dagster.graph import build_definitions
from master_dagster.steps import run_step
from resources.lake.opening import open_store
from resources.training_jobs.batch import OWN_TAG
from resources.training_jobs.configuration import load_trainer_configuration
from tests.fake_endpoint import FakeEndpoint
from tests.kubernetes_stand_in import MANIFESTS
from tests.sample_project import found_project
from tests.tiny_lake import eight_seeds

FOLDER = Path(__file__).parents[2] / "infra" / "cloudformation"
TEMPLATES = sorted(FOLDER.glob("*.yaml"))
IMAGE = "registry/master/trainer@sha256:" + 64 * "0"
# moto knows no such resources: that they are right rests on the linter alone (docs/deploy-aws.md says so).
LINTED_ONLY = {"BucketPolicy", "AlarmsPolicy", "Budget"}
WITH_A_KEY_ONLY = {"KeyForWriting", "KeyForReading"}


@dataclass(frozen=True)
class Stack:
    """A deployed stack: physical ids by logical names, and outputs."""

    resources: dict[str, str]
    outputs: dict[str, str]


def deploy(name: str, template: str, **parameters: str) -> Stack:
    client = boto3.client("cloudformation")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # moto warns of what it does not know
        client.create_stack(
            StackName=name,
            TemplateBody=(FOLDER / template).read_text(),
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
            Capabilities=["CAPABILITY_IAM"],
        )
        found = client.list_stack_resources(StackName=name)["StackResourceSummaries"]
    (stack,) = client.describe_stacks(StackName=name)["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    return Stack(
        {one["LogicalResourceId"]: one["PhysicalResourceId"] for one in found if one.get("LogicalResourceId")},
        {one["OutputKey"]: one["OutputValue"] for one in stack.get("Outputs", [])},
    )


def logical_names(template: str) -> set[str]:
    """Of every resource in a template."""
    text = (FOLDER / template).read_text()
    section = text[text.index("\nResources:\n") : text.index("\nOutputs:\n")]
    return set(re.findall(r"^  (\w+):$", section, re.MULTILINE))


@pytest.fixture(scope="module")
def aws(s3_server: str) -> Iterator[None]:
    """An account, with the environment set so that every client finds it."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in {
            "AWS_ENDPOINT_URL": s3_server,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "eu-central-1",
            "AWS_DEFAULT_REGION": "eu-central-1",
        }.items():
            environment.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def main_stack(aws: None) -> Stack:
    return deploy("master", "master.yaml", AlarmEmail="somebody@example.com")


@pytest.fixture(scope="module")
def batch_stack(main_stack: Stack) -> Stack:
    # In an account, Batch makes its own role at first use.
    boto3.client("iam").create_role(
        Path="/aws-service-role/batch.amazonaws.com/", RoleName="AWSServiceRoleForBatch", AssumeRolePolicyDocument="{}"
    )
    network = boto3.client("ec2")
    subnets = [one["SubnetId"] for one in network.describe_subnets()["Subnets"]]
    return deploy(
        "master-batch",
        "batch.yaml",
        TrainerImage=IMAGE,
        VpcId=network.describe_vpcs()["Vpcs"][0]["VpcId"],
        SubnetIds=",".join(subnets),
        InstanceTypes="g6e.2xlarge,g6e.4xlarge",
        HubTokenSecretArn="arn:aws:secretsmanager:eu-central-1:123456789012:secret:hub",
    )


def role_statements(stack: Stack, logical: str) -> list[dict[str, Any]]:
    """Every statement of the policies in a role."""
    client, role = boto3.client("iam"), stack.resources[logical]
    statements = []
    for name in client.list_role_policies(RoleName=role)["PolicyNames"]:
        document = client.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
        # moto keeps some documents as Python writes them, which YAML reads like JSON
        statements += (yaml.safe_load(document) if isinstance(document, str) else document)["Statement"]
    return statements


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_a_template_is_clean(template: Path) -> None:
    assert [str(match) for match in lint_file(template)] == []


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_every_parameter_is_explained(template: Path) -> None:
    text = template.read_text()
    section = text[text.index("\nParameters:\n") : text.index("\nConditions:\n")]
    parameters = re.split(r"\n  (?=\w)", section)[1:]
    assert [one.split(":")[0] for one in parameters if "\n    Description:" not in one] == []


def test_everything_else_exists_once_deployed(main_stack: Stack) -> None:
    made = main_stack.resources
    iam, logs = boto3.client("iam"), boto3.client("logs")
    boto3.client("s3").head_bucket(Bucket=made["Bucket"])
    for role in ("OrchestratorRole", "TrainerRole", "ConsumerRole"):
        iam.get_role(RoleName=made[role])
    iam.get_instance_profile(InstanceProfileName=made["OrchestratorProfile"])
    repositories = boto3.client("ecr").describe_repositories()["repositories"]
    assert {one["repositoryName"] for one in repositories} >= {"master/code-location", "master/trainer"}
    groups = logs.describe_log_groups(logGroupNamePrefix=made["SageMakerLogs"])["logGroups"]
    assert [group["retentionInDays"] for group in groups] == [90]
    (subscription,) = boto3.client("sns").list_subscriptions_by_topic(TopicArn=made["Alarms"])["Subscriptions"]
    assert subscription["Endpoint"] == "somebody@example.com"
    described = {"Bucket", "OrchestratorRole", "TrainerRole", "ConsumerRole", "OrchestratorProfile", "Alarms"}
    described |= {"CodeLocationRepository", "TrainerRepository", "SageMakerLogs"}
    assert logical_names("master.yaml") - described == LINTED_ONLY | WITH_A_KEY_ONLY


def test_what_batch_needs_exists_once_deployed(batch_stack: Stack) -> None:
    made = batch_stack.resources
    iam, ec2, batch = boto3.client("iam"), boto3.client("ec2"), boto3.client("batch")
    for role in ("MachineRole", "StarterRole"):
        iam.get_role(RoleName=made[role])
    iam.get_instance_profile(InstanceProfileName=made["MachineProfile"])
    ec2.describe_security_groups(GroupIds=[made["SecurityGroup"]])
    ec2.describe_launch_templates(LaunchTemplateIds=[made["LaunchTemplate"]])
    assert boto3.client("logs").describe_log_groups(logGroupNamePrefix=made["Logs"])["logGroups"]
    (queue,) = batch.describe_job_queues(jobQueues=[batch_stack.outputs["JobQueue"]])["jobQueues"]
    (machines,) = batch.describe_compute_environments(
        computeEnvironments=[queue["computeEnvironmentOrder"][0]["computeEnvironment"]]
    )["computeEnvironments"]
    assert machines["computeResources"]["type"] == "SPOT"
    assert machines["computeResources"]["minvCpus"] == 0
    described = {"MachineRole", "StarterRole", "MachineProfile", "SecurityGroup", "LaunchTemplate", "Logs"}
    described |= {"JobQueue", "Machines", "JobDefinition", "OrchestratorSubmits", "StarterReadsToken"}
    assert logical_names("batch.yaml") == described


def test_the_queue_gives_up_jobs_that_get_no_machine() -> None:
    # moto does not know the property
    queue = decode(str(FOLDER / "batch.yaml"))[0]["Resources"]["JobQueue"]["Properties"]
    actions = {action["Reason"]: (action["Action"], action["State"]) for action in queue["JobStateTimeLimitActions"]}
    assert actions == dict.fromkeys(
        (
            "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY",
            "MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE",
            "MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT",
        ),
        ("CANCEL", "RUNNABLE"),
    )


def test_a_batch_job_runs_the_pinned_image_as_the_trainer_on_a_gpu(main_stack: Stack, batch_stack: Stack) -> None:
    (definition,) = boto3.client("batch").describe_job_definitions(
        jobDefinitions=[batch_stack.outputs["JobDefinition"]]
    )["jobDefinitions"]
    container = definition["containerProperties"]
    assert container["image"] == IMAGE
    assert container["jobRoleArn"] == main_stack.outputs["TrainerRoleArn"]
    assert {"type": "GPU", "value": 1} in container["resourceRequirements"]
    assert [secret["name"] for secret in container["secrets"]] == ["HF_TOKEN"]


def test_the_outputs_fill_a_trainer_file_for_batch(main_stack: Stack, batch_stack: Stack, tmp_path: Path) -> None:
    made = batch_stack.outputs
    place = {"kind": "batch", "queue": made["JobQueue"], "definition": made["JobDefinition"]}
    (tmp_path / "trainer.yaml").write_text(yaml.safe_dump({"backend": place | {"image": made["TrainerImage"]}}))
    configuration = load_trainer_configuration(str(tmp_path / "trainer.yaml"))
    opened = configuration.backend.open(open_store(main_stack.outputs["LakeRoot"]), detached=False)
    assert opened.status("master-nothing") is None


def test_the_outputs_fill_a_trainer_file_for_sagemaker(main_stack: Stack, tmp_path: Path) -> None:
    place = {"kind": "sagemaker", "image": IMAGE, "role": main_stack.outputs["TrainerRoleArn"]}
    (tmp_path / "trainer.yaml").write_text(yaml.safe_dump({"backend": place | {"instance_type": "ml.g6e.2xlarge"}}))
    configuration = load_trainer_configuration(str(tmp_path / "trainer.yaml"))
    opened = configuration.backend.open(open_store(main_stack.outputs["LakeRoot"]), detached=False)
    assert (opened.name, opened.image) == ("sagemaker:eu-central-1", IMAGE)


def test_the_orchestrator_may_submit_to_its_queue_only(main_stack: Stack, batch_stack: Stack) -> None:
    resources = [
        one["Resource"] for one in role_statements(main_stack, "OrchestratorRole") if one["Action"] == "batch:SubmitJob"
    ]
    assert resources == [[batch_stack.outputs["JobQueue"], batch_stack.outputs["JobDefinition"]]]


def test_a_trainer_writes_checkpoints_gradients_and_what_sagemaker_leaves(main_stack: Stack) -> None:
    written = [one["Resource"] for one in role_statements(main_stack, "TrainerRole") if "s3:PutObject" in one["Action"]]
    lake = f"arn:aws:s3:::{main_stack.resources['Bucket']}/lake"
    assert written == [[f"{lake}/checkpoints/*", f"{lake}/training_sets/tagcos/features-*", f"{lake}/_jobs/*"]]


def test_a_consumer_reads_releases_and_nothing_else(main_stack: Stack) -> None:
    bucket = f"arn:aws:s3:::{main_stack.resources['Bucket']}"
    assert [(one["Action"], one["Resource"]) for one in role_statements(main_stack, "ConsumerRole")] == [
        ("s3:GetObject", f"{bucket}/lake/boost_qa/*"),
        ("s3:ListBucket", bucket),
    ]


def test_the_policy_for_consumers_elsewhere_grants_what_the_consumers_role_does(main_stack: Stack) -> None:
    text = (FOLDER.parent / "policies" / "consumer.json").read_text()
    given = json.loads(text.replace("BUCKET", main_stack.resources["Bucket"]).replace("PREFIX", "lake"))["Statement"]
    assert [{key: value for key, value in one.items() if key != "Sid"} for one in given] == role_statements(
        main_stack, "ConsumerRole"
    )


def trusted(stack: Stack, logical: str) -> list[tuple[Any, Any]]:
    """Who may take a role, and under which conditions."""
    role = boto3.client("iam").get_role(RoleName=stack.resources[logical])["Role"]
    document: Any = role["AssumeRolePolicyDocument"]
    document = yaml.safe_load(document) if isinstance(document, str) else document
    return [(one["Principal"], one.get("Condition")) for one in document["Statement"]]


OWN_ACCOUNT = {"StringEquals": {"aws:SourceAccount": "123456789012"}}


def pods_of(namespace: str, service_account: str) -> tuple[Any, Any]:
    """What lets the pods of one service account take a role."""
    tags = {"kubernetes-namespace": namespace, "kubernetes-service-account": service_account}
    condition = {
        "StringEquals": {f"aws:RequestTag/{name}": value for name, value in tags.items()},
        "ArnLike": {"aws:RequestTag/eks-cluster-arn": "arn:aws:eks:eu-central-1:123456789012:cluster/*"},
    }
    return {"Service": "pods.eks.amazonaws.com"}, condition


def test_services_take_roles_for_jobs_of_this_account_only(main_stack: Stack, batch_stack: Stack) -> None:
    services = {"Service": ["sagemaker.amazonaws.com", "ecs-tasks.amazonaws.com"]}
    [account] = [one["metadata"] for one in MANIFESTS if one["kind"] == "ServiceAccount"]
    pods = pods_of(account["namespace"], account["name"])
    assert trusted(main_stack, "TrainerRole") == [(services, OWN_ACCOUNT), pods]
    assert trusted(batch_stack, "StarterRole") == [({"Service": "ecs-tasks.amazonaws.com"}, OWN_ACCOUNT)]


def test_pods_of_one_service_account_in_clusters_of_this_account_take_the_orchestrators_role(main_stack: Stack) -> None:
    pods, machine = trusted(main_stack, "OrchestratorRole")
    assert pods == pods_of("dagster", "dagster")
    assert machine == ({"Service": "ec2.amazonaws.com"}, None)


def test_the_orchestrator_ends_its_own_jobs_only(main_stack: Stack, batch_stack: Stack) -> None:
    statements = {str(one["Action"]): one for one in role_statements(main_stack, "OrchestratorRole")}
    ((key, value),) = OWN_TAG.items()
    assert statements["batch:TerminateJob"]["Condition"] == {"StringEquals": {f"aws:ResourceTag/{key}": value}}
    assert statements["batch:TagResource"]["Condition"] == {"StringEquals": {f"aws:RequestTag/{key}": value}}
    (by_sagemaker,) = (one for action, one in statements.items() if "sagemaker:StopTrainingJob" in action)
    assert by_sagemaker["Resource"].endswith(":training-job/master-*")


# None of these knows narrower resources; the last one has a condition.
WITHOUT_RESOURCES = {
    "batch:DescribeJobDefinitions",
    "batch:DescribeJobs",
    "batch:ListJobs",
    "ecr:GetAuthorizationToken",
    "cloudwatch:PutMetricData",
}


def test_everything_else_names_its_resources(main_stack: Stack, batch_stack: Stack) -> None:
    found = set()
    roles = [(main_stack, name) for name in ("OrchestratorRole", "TrainerRole", "ConsumerRole")]
    for stack, role in [*roles, (batch_stack, "StarterRole")]:
        for one in role_statements(stack, role):
            if one["Resource"] == "*":
                found |= {one["Action"]} if isinstance(one["Action"], str) else set(one["Action"])
    assert found == WITHOUT_RESOURCES


def test_only_the_machine_itself_reads_its_metadata() -> None:
    template = decode(str(FOLDER / "batch.yaml"))[0]["Resources"]["LaunchTemplate"]["Properties"]["LaunchTemplateData"]
    assert template["MetadataOptions"] == {"HttpTokens": "required", "HttpPutResponseHopLimit": 1}


@pytest.mark.parametrize("role", ["OrchestratorRole", "TrainerRole", "ConsumerRole"])
def test_no_role_of_ours_may_do_everything(main_stack: Stack, role: str) -> None:
    actions: list[str] = []
    for statement in role_statements(main_stack, role):
        given = statement["Action"]
        actions += [given] if isinstance(given, str) else given
    assert [action for action in actions if "*" in action] == []


def test_objects_are_encrypted_at_rest(main_stack: Stack) -> None:
    answer = boto3.client("s3").get_bucket_encryption(Bucket=main_stack.resources["Bucket"])
    (rule,) = answer["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"


def test_objects_are_encrypted_with_a_key_of_ones_own(main_stack: Stack) -> None:
    key = "arn:aws:kms:eu-central-1:123456789012:key/ours"
    stack = deploy("master-with-key", "master.yaml", KmsKeyArn=key, SageMakerLogGroup="leave")
    answer = boto3.client("s3").get_bucket_encryption(Bucket=stack.resources["Bucket"])
    (rule,) = answer["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    assert {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": key} in role_statements(stack, "ConsumerRole")


def test_a_release_is_published_in_the_bucket(main_stack: Stack) -> None:
    tiny = eight_seeds(main_stack.outputs["LakeRoot"] + "-tiny")
    release = tiny.release(minimum_coverage=0)
    assert tiny.lake.store.exists(f"{release.folder}/manifest.json")


def test_the_graph_runs_in_the_bucket(main_stack: Stack, tmp_path: Path, fake_endpoint: FakeEndpoint) -> None:
    settings = found_project(tmp_path, fake_endpoint).settings.model_copy(
        update={"deployment": "aws", "lake_root": main_stack.outputs["LakeRoot"]}
    )
    deployment = load_deployment(settings)
    definitions = build_definitions(deployment)
    with DagsterInstance.ephemeral() as instance:
        run_step(definitions, instance, ["raw_seeds", "seed_embeddings"], ["sums"])
        run_step(definitions, instance, ["dialogue_plans"], ["sums-0000"])
    lake = deployment.lake()
    assert lake.read(DIALOGUE_PLANS).height == lake.read(SEEDS).height == 12
