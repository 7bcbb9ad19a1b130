"""How the program ends: its exit codes, and the faults that it knows by name."""

from resources.training_jobs.job import EXIT_INTERRUPTED, EXIT_ORPHANED

DONE = 0
CRASHED = 1  # anything that is not one of the others
BAD_INPUT = 2  # own fault or bad input: another try would end the same way
INTERRUPTED = EXIT_INTERRUPTED  # by SIGTERM or SIGINT; a checkpoint was saved, another try resumes
ORPHANED = EXIT_ORPHANED  # the run that waited for it is gone; a checkpoint was saved


class Fault(Exception):
    """The program cannot go on. The message says what, where and what to do; nobody needs the traceback."""

    exit = BAD_INPUT
    retryable = False


class OutOfReach(Fault):
    """Something outside could not be reached; another try may."""

    exit = CRASHED
    retryable = True


class Stopped(Fault):
    """The program was asked to end before it was done."""

    retryable = True

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.exit = code


class Stop:
    """A request to end that signal handlers and threads leave and the training loop looks at after each step."""

    def __init__(self) -> None:
        self.code = DONE
        self.reason = ""

    def ask(self, code: int, reason: str) -> None:
        """Ask the program to save a checkpoint and to end with `code`; the first request counts."""
        if not self.asked:
            self.reason, self.code = reason, code

    @property
    def asked(self) -> bool:
        """Whether anybody asked."""
        return self.code != DONE

    def look(self) -> None:
        """Raises Stopped where somebody asked."""
        if self.asked:
            raise Stopped(self.reason, self.code)
