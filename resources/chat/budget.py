"""What a run may spend on completions, and what it has spent."""

from dataclasses import dataclass

from resources.chat.calls import BudgetSpent


@dataclass(slots=True)
class Spending:
    """What a run has paid for so far, in tokens (prompt and completion) and US dollars, over all its steps."""

    tokens: int = 0
    cost: float = 0.0


@dataclass(frozen=True, slots=True)
class Budget:
    """What a run may spend, in tokens (prompt and completion) and US dollars; None is without limit."""

    tokens: int | None = None
    cost: float | None = None

    def check(self, spending: Spending) -> None:
        """
        Raises:
            BudgetSpent: `spending` has reached the budget.
        """
        if self.tokens is not None and spending.tokens >= self.tokens:
            limit, spent = f"{self.tokens:,} tokens", f"{spending.tokens:,}"
        elif self.cost is not None and spending.cost >= self.cost:
            limit, spent = f"${self.cost:,.2f}", f"${spending.cost:,.2f}"
        else:
            return
        raise BudgetSpent(f"the run's budget of {limit} is spent ({spent}); what was answered is kept")
