"""What an engine's behaviour depends on beside the profile."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Times and sizes; all times are in seconds."""

    open_scopes: int = 8  # journals in memory, unless more are in use
    latency_sample: int = 2000  # latencies kept per scope
    segment_seconds: float = 5.0  # between two segments of a journal on S3
    unsaved_answers: int = 10_000  # only in memory, at which calls wait: what a crash may cost while S3 is unreachable
    outage_seconds: float = 300.0  # for which the store may fail before the run ends
    interrupted_seconds: float = 20.0  # that an interrupted run has to save its journals
    spending_seconds: float = 20.0  # between two writes of what was paid; a killed run loses the record of so much
    sharing_seconds: float = 0.1  # between two looks at the other processes that use an endpoint
    spare_descriptors: int = 128  # open files left to the rest of the process
