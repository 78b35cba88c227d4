"""What an engine is, what it shows of its runs at one time, and the error with which a run that diverged ends."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float

# A run counts as diverged once its margins are this large on average: the loss has long left every meaningful range.
DIVERGED = 1e6


@dataclass(frozen=True, eq=False)
class EngineState:
    """A batch of runs at one time. Its axis R counts mu and the n noise patches: R = n + 1.

    Attributes
    ----------
    responses
        inner products of the filters with mu, which comes first, and with the noise patches.
    gamma, rho
        signal and noise coefficients of the weights, as `decompose` finds them.
    weight_gram
        W W^T, the inner products among the filters, those of j = +1 first.
    test_responses
        inner products of the filters with the test patches that a Sample brings.
    """

    responses: Float[torch.Tensor, "runs 2 m R"]
    gamma: Float[torch.Tensor, "runs 2 m"]
    rho: Float[torch.Tensor, "runs 2 m n"]
    weight_gram: Float[torch.Tensor, "runs 2*m 2*m"]
    test_responses: Float[torch.Tensor, "runs 2 m n_test"]


@runtime_checkable
class Engine(Protocol):
    """A batch of runs of gradient descent that `descend` can drive, whatever the engine keeps of them.

    Attributes
    ----------
    step
        gradient steps taken so far.
    y, y_obs
        true and observed labels of the training samples.
    """

    step: int
    y: Float[torch.Tensor, "runs n"]
    y_obs: Float[torch.Tensor, "runs n"]

    def advance(self, steps: int) -> None:
        """Take `steps` gradient steps in every run. Raises `EngineDiverged` if one diverges."""

    def state(self) -> EngineState:
        """The runs as they are now."""


class EngineDiverged(FloatingPointError):
    """The margins of a run left the range in which its loss means anything.

    Attributes
    ----------
    step
        the gradient step at which this was seen.
    run
        the position of the run in its batch.
    """

    def __init__(self, step: int, run: int) -> None:
        super().__init__(step, run)
        self.step = step
        self.run = run

    def __str__(self) -> str:
        where = f"run {self.run} diverged at step {self.step}"
        return f"{where}: its mean |margin| is above {DIVERGED:g} or not a number; lower lr"
