"""What one kind of attack achieved."""

from dataclasses import dataclass, field


@dataclass
class Tally:
    """One kind of attack: how many were tried, and a line about each that was not withstood."""

    kind: str
    tried: int = 0
    succeeded: list[str] = field(default_factory=list)
    note: str = ""

    def count(self, withstood: bool, description: str) -> None:
        """Count one attack; `description` names it where it was not withstood."""
        self.tried += 1
        if not withstood:
            self.succeeded.append(description)

    @property
    def withstood(self) -> int:
        """How many had no effect beyond their own row or answer."""
        return self.tried - len(self.succeeded)
