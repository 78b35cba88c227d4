"""Gradient descent on the weights themselves, by autograd: the reduced engine's oracle, at a cost linear in d."""

from collections.abc import Sequence

import torch
from torch.nn import functional

from helpers import checks
from helpers.data.signal_noise import Sample
from helpers.engine.engine_state import DIVERGED, EngineDiverged, EngineState
from helpers.engine.network_decomposition import Decomposition, TwoLayerCNN
from helpers.entry import entry


class ExplicitEngine:
    """The `Engine` that keeps the weights of its runs: a list of networks and their data.

    Parameters
    ----------
    samples
        the data of each run, all with the same n and number of test patches.
    m
        filters per sign.
    init_std, lr, seeds
        of each run: the scale of the initial weights, the step size, the seed of the weights.
    device, dtype
        where, and how precisely, the runs are trained.
    """

    @entry
    def __init__(self, samples: Sequence[Sample], m: int, init_std: Sequence[float], lr: Sequence[float],
                 seeds: Sequence[int], device: torch.device, dtype: torch.dtype) -> None:
        checks.require(len(samples) > 0, "samples", samples, "of one run or more")
        for name, values in (("init_std", init_std), ("lr", lr), ("seeds", seeds)):
            checks.require(len(values) == len(samples), name, values, f"{len(samples)} numbers, one per run")
        lr = [checks.positive("lr", one) for one in lr]
        init_std = [checks.real("init_std", one, 0.0) for one in init_std]
        seeds = [checks.integer("seeds", one, 0) for one in seeds]
        checks.require(dtype.is_floating_point, "dtype", dtype, "torch.float64 or torch.float32")
        self.models = [TwoLayerCNN(sample.d, m, std, seed) for sample, std, seed in zip(samples, init_std, seeds)]
        self.starts = [model.weight.detach().clone() for model in self.models]
        self.decompositions = [Decomposition(sample) for sample in samples]
        self.models = [model.to(device, dtype) for model in self.models]
        self.lr = lr
        self.step = 0
        move = {"device": device, "dtype": dtype}
        self.vectors = [sample.vectors.to(**move) for sample in samples]
        self.tests = [sample.xi_test.to(**move) for sample in samples]
        self.patches = [((sample.y[:, None] * sample.mu).to(**move), sample.xi.to(**move)) for sample in samples]
        self.y, self.y_obs = (torch.stack([getattr(s, name) for s in samples]).to(**move) for name in ("y", "y_obs"))

    @entry
    def advance(self, steps: int) -> None:
        """Take `steps` gradient steps in every run. Raises `EngineDiverged`, with the step, if one diverges."""
        steps = checks.integer("steps", steps, 0)
        for run, (model, patches, y_obs) in enumerate(zip(self.models, self.patches, self.y_obs)):
            for step in range(steps):
                margins = y_obs * model.output(patches)
                if not margins.detach().abs().mean() <= DIVERGED:
                    raise EngineDiverged(self.step + step, run)
                loss = functional.softplus(-margins).mean()
                (gradient,) = torch.autograd.grad(loss, model.weight)
                with torch.no_grad():
                    model.weight -= self.lr[run] * gradient
        self.step += steps

    def state(self) -> EngineState:
        """The runs now; gamma and rho from the unique decomposition of the weights, in float64 on the CPU."""
        weights = [model.weight.detach() for model in self.models]
        parts = [decomposition((weight.cpu() - start.to(weight.dtype)).double())
                 for decomposition, weight, start in zip(self.decompositions, weights, self.starts)]
        gamma, rho = (torch.stack(part).to(weights[0]) for part in zip(*parts))
        responses, test_responses = (torch.stack([w @ patches.T for w, patches in zip(weights, of_run)])
                                     for of_run in (self.vectors, self.tests))
        flat = [weight.flatten(0, 1) for weight in weights]
        return EngineState(responses, gamma, rho, torch.stack([w @ w.T for w in flat]), test_responses)

    @staticmethod
    @entry
    def bytes_per_run(n: int, d: int, m: int, n_test: int, given_tests: int) -> int:
        """Peak working memory of one run, in bytes: patches, their copies and QR factor, weights, and test draws."""
        for name, value in (("n", n), ("d", d), ("m", m)):
            checks.integer(name, value)
        for name, value in (("n_test", n_test), ("given_tests", given_tests)):
            checks.integer(name, value, 0)
        return 8 * (6 * (n + 1) * d + 6 * 2 * m * d + 2 * given_tests * d + 8 * 2 * m * n_test)
