"""What the answers of a language model used, and where it ends."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from dsbuild.errors import EngineError, RecipeError
from dsbuild.language_model import Said


@dataclass(frozen=True, slots=True)
class Spent:
    """Tokens asked and said, calls, and how many of those calls were answered before (their tokens are counted too)."""

    n_asked: int = 0
    n_said: int = 0
    n_calls: int = 0
    n_known: int = 0

    @property
    def tokens(self) -> int:
        """Tokens of questions and answers."""
        return self.n_asked + self.n_said

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            self.n_asked + other.n_asked,
            self.n_said + other.n_said,
            self.n_calls + other.n_calls,
            self.n_known + other.n_known,
        )


class Budget:
    """Counts what is used; calls that were not asked when the end is reached are not asked.

    tokens: most tokens of questions and answers together, cost: most money, both None for no end; price_asked, price_said: money per million
    tokens; before: what was used before, by other parts of a build. Answers that were known already count as if they were new, so that
    running again with the same budget ends at the same place. What is in flight at the end, or drawn to be asked next, is
    waited for: about twice as many answers as the model has in flight may go over it.

    >>> budget = Budget(tokens=100)
    >>> budget.add(Said("yes", n_asked=90, n_said=9)); budget.reached
    False
    >>> budget.add(Said("yes", n_asked=90, n_said=9)); budget.reached, budget.spent.tokens
    (True, 198)
    """

    def __init__(
        self, tokens: int | None = None, cost: float | None = None, *, price_asked: float = 0.0, price_said: float = 0.0,
        before: Spent = Spent(),
    ) -> None:  # fmt: skip
        for name, value in (
            ("tokens", tokens),
            ("cost", cost),
            ("price_asked", price_asked),
            ("price_said", price_said),
        ):
            if value is not None and value < 0:
                raise RecipeError(f"budget.{name}: {value!r} is less than nothing")
        if cost is not None and not (price_asked or price_said):
            raise RecipeError("budget.cost needs prices: budget.price_asked and budget.price_said, per million tokens")
        self.tokens = tokens
        self.most = cost
        self.price_asked = price_asked
        self.price_said = price_said
        self._spent = before
        self._lock = threading.Lock()

    @property
    def spent(self) -> Spent:
        """What was used so far, `before` included."""
        return self._spent

    @property
    def cost(self) -> float:
        """Money used so far: what the tokens cost by the prices that were named."""
        return (self._spent.n_asked * self.price_asked + self._spent.n_said * self.price_said) / 1e6

    @property
    def reached(self) -> bool:
        """Whether nothing more may be asked."""
        over_tokens = self.tokens is not None and self._spent.tokens >= self.tokens
        return over_tokens or (self.most is not None and self.cost >= self.most)

    def add(self, said: Said, *, known: bool = False) -> None:
        """Count an answer; `EngineError` where there is an end to keep and nobody says how many tokens were asked."""
        if (self.tokens, self.most) != (None, None) and not said.n_asked and not said.problem:
            raise EngineError(
                "the answers do not say how many tokens they used, so no budget can be kept: leave it out, or ask a server that tells (usage)"
            )
        more = Spent(said.n_asked, said.n_said, 1, int(known))
        with self._lock:
            self._spent = self._spent + more
