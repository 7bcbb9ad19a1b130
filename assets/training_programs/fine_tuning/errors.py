"""How a training program ends: its exit codes, and its errors."""

from resources.training_jobs.job import EXIT_INTERRUPTED, EXIT_ORPHANED

DONE = 0
CRASHED = 1  # any other error
BAD_INPUT = 2  # bad input: another attempt would end the same way
INTERRUPTED = EXIT_INTERRUPTED  # by SIGTERM or SIGINT; a checkpoint was saved, another attempt resumes
ORPHANED = EXIT_ORPHANED  # no run waits for it; a checkpoint was saved


class TrainingProgramError(Exception):
    """The program cannot continue. The message says what is wrong, where, and what to do; no traceback is logged."""

    exit = BAD_INPUT
    retryable = False


class ServiceUnreachable(TrainingProgramError):
    """A service could not be reached; another attempt may succeed."""

    exit = CRASHED
    retryable = True


class NodeFailed(TrainingProgramError):
    """One of several nodes could not prepare the job, or not as the others did; every process ends with this error."""

    def __init__(self, message: str, code: int, retryable: bool) -> None:
        super().__init__(message)
        self.exit, self.retryable = code, retryable


class StopRequested(TrainingProgramError):
    """The program was asked to end before it was done."""

    retryable = True

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.exit = code


class Stop:
    """A request to end: signal handlers and threads make it, the training loop checks it after each step."""

    def __init__(self) -> None:
        self.code = DONE
        self.reason = ""

    def ask(self, code: int, reason: str) -> None:
        """Ask the program to save a checkpoint and to end with `code`; the first request counts."""
        if not self.asked:
            self.reason, self.code = reason, code

    @property
    def asked(self) -> bool:
        """Whether the program was asked to end."""
        return self.code != DONE

    def look(self) -> None:
        """Raise StopRequested where the program was asked to end."""
        if self.asked:
            raise StopRequested(self.reason, self.code)
