"""The settings and the configuration files that they name, read and checked as a whole."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from dagster import MultiPartitionsDefinition

from assets.boost_qa.configuration import ReleaseRules, load_release_rules
from assets.dialogue_plans.configuration import PlanRules, load_plan_rules
from assets.dialogues.load_scenarios import STANDARD, load_scenarios
from assets.evaluation.configuration import BENCHMARK_KINDS, Benchmarks, load_benchmarks
from assets.framework.partitions import tunings
from assets.framework.prompts import PromptBook
from assets.framework.scenarios.scenario import Scenarios
from assets.quality.configuration import QualityRules, load_quality_rules
from assets.quality.partition_status import Expected, expected_fingerprints
from assets.quality.prompts import load_prompts
from assets.quality.rubric import check_rubrics
from assets.quality.schema import SIGNALS
from assets.seeds.configuration import SEED_SOURCES, SeedsConfiguration, load_seeds_configuration
from assets.training_programs.recipe import Training, check_variants, load_training
from assets.training_sets.ablations import ablations, tuned_variants
from assets.training_sets.configuration import ComparisonRules, load_comparison_rules
from master_dagster.settings import Settings, load_settings
from resources.chat.profile import Profile, load_profile
from resources.configuration import ConfigurationError, fault_list
from resources.lake.tables import Lake
from resources.model_servers.tuned.configuration import Serving, load_serving
from resources.plugins import PluginGroup, check_plugins
from resources.training_jobs.configuration import TRAINING_BACKENDS, TrainerConfiguration, load_trainer_configuration

Loaded = TypeVar("Loaded")
PLUGIN_GROUPS: tuple[PluginGroup[Any], ...] = (SIGNALS, SEED_SOURCES, TRAINING_BACKENDS, BENCHMARK_KINDS)


@dataclass(frozen=True)
class Deployment:
    """The settings and the configuration files that they name, read and validated."""

    settings: Settings
    seeds: SeedsConfiguration
    profile: Profile
    scenarios: Scenarios
    prompts: PromptBook
    plan_rules: PlanRules
    quality_rules: QualityRules
    release_rules: ReleaseRules
    comparison_rules: ComparisonRules
    training: Training
    trainer: TrainerConfiguration
    benchmarks: Benchmarks
    served: Serving

    def lake(self) -> Lake:
        """The lake of this deployment."""
        return Lake.at(self.settings.lake_root, self.settings.s3)

    def tunings(self) -> MultiPartitionsDefinition:
        """The partitions of checkpoints and scores: base model × training set."""
        return tunings((base.name for base in self.training.bases), tuned_variants(self.scenarios))

    def expected(self) -> Expected:
        """The fingerprints that its partitions have when they are current."""
        return expected_fingerprints(self.profile, self.scenarios, self.prompts, self.quality_rules)

    def check_keys(self) -> None:
        """Check the key of every model that generates or judges dialogues, before the first of them is asked.

        Raises:
            ConfigurationError: names every environment variable that is not set or holds no key.
        """
        roles = {role for scenario in self.scenarios.values() for role in scenario.roles}
        judges = self.quality_rules.judge.jury if self.profile.judging == "by_judge" else ()
        self.profile.check_keys(roles.union(judges))


def load_deployment(settings: Settings | None = None) -> Deployment:
    """Read and validate every configuration file that the settings name.

    Raises:
        ConfigurationError: all faults of all files at once, each under the setting that names the file.
    """
    settings = settings or load_settings()
    faults = _fault("plug-ins", lambda: check_plugins(PLUGIN_GROUPS))

    def read_named(where: str, name_or_path: str, load: Callable[[str], Loaded]) -> Loaded | None:
        try:
            return load(name_or_path)
        except ConfigurationError as error:
            faults.append(f"{where}: {error}")
            return None

    def read(setting: str, load: Callable[[str], Loaded]) -> Loaded | None:
        return read_named(f"MASTER_{setting.upper()}", getattr(settings, setting), load)

    profile = None
    with suppress(ConfigurationError):  # read for its prompts; reported below, with the roles that it lacks
        profile = load_profile(settings.profile)
    prompt_set, named_by = settings.prompts or "", "MASTER_PROMPTS"
    if profile and not prompt_set:
        prompt_set, named_by = profile.prompts, "MASTER_PROFILE: prompts"
    prompts = read_named(named_by, prompt_set, load_prompts) if prompt_set else None
    scenarios = read("scenarios", lambda names: load_scenarios(names, prompt_set or STANDARD))
    plan_rules = read("plan_rules", load_plan_rules)
    benchmarks = read("benchmarks", load_benchmarks)
    needed = {role: f"scenario {one.title}" for one in (scenarios or {}).values() for role in one.roles}
    quality_rules = read("quality_rules", load_quality_rules)
    needed |= dict.fromkeys(quality_rules.judge.jury if quality_rules else (), "the judging of dialogues")
    needed |= benchmarks.roles_needed if benchmarks else {}
    training = read("training", load_training)
    read_files: Mapping[str, Any] = {
        "seeds": read("seeds", load_seeds_configuration),
        "profile": read("profile", lambda name: load_profile(name, needed)),
        "scenarios": scenarios,
        "prompts": prompts,
        "plan_rules": plan_rules,
        "quality_rules": quality_rules,
        "release_rules": read("release_rules", load_release_rules),
        "comparison_rules": read("comparison_rules", load_comparison_rules),
        "training": training,
        "trainer": read("trainer", load_trainer_configuration),
        "benchmarks": benchmarks,
        "served": read("served", load_serving),
    }
    deployment = None if faults else Deployment(settings=settings, **read_files)
    if scenarios and plan_rules:
        faults += _fault("MASTER_PLAN_RULES", lambda: plan_rules.check_scenarios(scenarios))
    if scenarios:
        same_names = _fault("MASTER_SCENARIOS", lambda: ablations(scenarios))
        if training and not same_names:
            faults += _fault("MASTER_TRAINING", lambda: check_variants(training, tuned_variants(scenarios)))
        faults += same_names
        faults += _fault("MASTER_SCENARIOS", lambda: check_rubrics(scenarios))
    if deployment is None or faults:
        raise ConfigurationError(fault_list("the configuration is not valid:", faults))
    return deployment


def _fault(where: str, check: Callable[[], object]) -> list[str]:
    """The fault that a check raises, below the setting that names the file; none where it passes."""
    try:
        check()
    except ConfigurationError as error:
        return [f"{where}: {error}"]
    return []
