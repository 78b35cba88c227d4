"""What an engine shows of its runs at one time, and the error with which a run that diverged ends."""

from dataclasses import dataclass

import torch

# A run counts as diverged once its margins are this large on average: the loss has long left every meaningful range.
DIVERGED = 1e6


@dataclass(frozen=True, eq=False)
class State:
    """A batch of runs at one time: responses (runs, 2, m, n + 1) to mu and the noise patches, gamma (runs, 2, m),
    rho (runs, 2, m, n), weight_gram (runs, 2m, 2m) = W W^T, responses to given test patches (runs, 2, m, n_test)."""

    responses: torch.Tensor
    gamma: torch.Tensor
    rho: torch.Tensor
    weight_gram: torch.Tensor
    test_responses: torch.Tensor


class Diverged(FloatingPointError):
    """The margins of a run left the range in which its loss means anything."""

    def __init__(self, step, run):
        super().__init__(step, run)
        self.step, self.run = step, run

    def __str__(self):
        where = f"run {self.run} diverged at step {self.step}"
        return f"{where}: its mean |margin| is above {DIVERGED:g} or not a number; lower lr"
