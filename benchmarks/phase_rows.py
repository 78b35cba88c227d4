"""A row of the phase map, all flip rates of one signal strength c in one batch, on any device.

The runs are those of `helpers.experiments.phase_diagram.phase_cell`: the same seeds, times and step sizes. Runs of one
row and one seed differ in nothing but their observed labels, so their inner products are drawn once.
"""

import time
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch

from helpers import SignalNoise
from helpers.engine.gram import inner_products
from helpers.engine.observables import observable_readings
from helpers.engine.reduced import ReducedEngine, reduced_engine
from helpers.experiments.phase_diagram import INITIAL_RESPONSE, RECORDED_TIMES, S_END


@dataclass(frozen=True)
class Sizes:
    """How many values of c, values of tau and runs; samples, filters of each sign, d / n, and when training ends."""

    c: int = 100
    tau: int = 100
    runs: int = 20
    n: int = 200
    m: int = 20
    d_over_n: int = 10
    s_end: float = S_END

    @cached_property
    def strengths(self):
        return np.geomspace(0.25, 32, self.c)

    @cached_property
    def flip_rates(self):
        return np.linspace(0, 0.48, self.tau)


GRID, TINY = Sizes(), Sizes(c=3, tau=3, runs=2, n=20, m=3, s_end=2.0)


def order(count):
    """All rows, so that those up to any moment lie evenly: every 2^k-th one, then those half way between."""
    step, seen = 1 << max(count - 1, 1).bit_length(), []
    while len(seen) < count:
        seen += [index for index in range(0, count, step) if index not in seen]
        step //= 2
    return seen


class Row:
    """One row of the map, computed when it is made."""

    def __init__(self, sizes, index, device):
        self.sizes, self.c, self.device = sizes, float(sizes.strengths[index]), device
        self.steps = int(np.ceil(sizes.s_end / min(0.1, 1 / (1 + self.c)) - 1e-9))
        self.d = sizes.n * sizes.d_over_n
        self.drawing = self.descent = 0.0
        parts = [self._batch(rates) for rates in self._batches()]
        self.values = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def lines(self):
        """Lines of a CSV file: c, tau, and what was read."""
        for k, rate in enumerate(self.sizes.flip_rates):
            yield ",".join(f"{value:.6g}" for value in (self.c, rate, *(self.values[name][k] for name in self.values)))

    def _batches(self):
        """The flip rates, as many at a time as fit into half of the free memory."""
        need = self.sizes.runs * ReducedEngine.bytes_per_run(self.sizes.n, self.sizes.m, 0, 0)
        free = torch.cuda.mem_get_info(self.device)[0] if self.device.type == "cuda" else 2**31
        size = int(max(1, min(self.sizes.tau, free // 2 // need)))
        return [self.sizes.flip_rates[first:first + size] for first in range(0, self.sizes.tau, size)]

    def products(self, rates):
        """InnerProducts of every run, flip rate by flip rate."""
        sizes, seeds = self.sizes, range(self.sizes.runs)
        laws = [SignalNoise(sizes.n, self.d, n_snr2=self.c, flip_plus=rate, flip_minus=rate) for rate in rates]
        drawn = [inner_products(laws[0], sizes.m, INITIAL_RESPONSE / self.d**0.5, seed) for seed in seeds]
        labels = [[torch.from_numpy(law.draw_labels(seed)[1]) for seed in seeds] for law in laws]
        return [replace(parts, y_obs=own) for of_law in labels for parts, own in zip(drawn, of_law)]

    def _batch(self, rates):
        start, sizes = time.perf_counter(), self.sizes
        lr = sizes.s_end / self.steps * sizes.n * sizes.m / self.d
        engine = reduced_engine(self.products(rates), [lr] * (len(rates) * sizes.runs), self.device, torch.float64)
        self.drawing += time.perf_counter() - start
        start, seen = time.perf_counter(), []
        for step in np.unique(np.rint(np.geomspace(1, self.steps, RECORDED_TIMES)).astype(int)):
            engine.advance(int(step) - engine.step)
            seen.append(self._read(engine))
        values = {name: torch.stack([one[name] for one in seen]).cpu().numpy().reshape(len(seen), len(rates), -1)
                  for name in seen[0]}  # (T, rates, runs)
        self.descent += time.perf_counter() - start
        reused = values["reused_error"].mean(2)
        return {"stage_one": _mean((np.nan_to_num(values["truly"]) > 0.5).any(0), np.isfinite(values["truly"][0])),
                "noisy_fitted": _mean(1 - values["truly"][-1], np.isfinite(values["truly"][-1])),
                "reused_best": reused.min(0), "reused_last": reused[-1]}

    @staticmethod
    def _read(engine):
        """Of each run now: the share of noisy samples that are given their true label, and the reused error."""
        shown, noisy = observable_readings(engine.state(), engine.y, engine.y_obs), engine.y != engine.y_obs
        truly = ((shown["margins"] < 0) & noisy).sum(1).double() / noisy.sum(1)  # NaN for a run without noisy samples
        return {"truly": truly, "reused_error": shown["reused_error"]}


def _mean(values, known):
    """(rates,) mean over those runs that are `known`; NaN where none is."""
    counted = known.sum(1)
    return np.divide(np.where(known, values, 0.0).sum(1), counted, out=np.full(len(counted), np.nan), where=counted > 0)
