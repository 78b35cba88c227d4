"""Full-batch gradient descent on the logistic loss, explicit or reduced, many runs at a time."""

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import ArrayLike
from tqdm import tqdm

from helpers import checks
from helpers.data.signal_noise import Sample, SignalNoise
from helpers.engine import explicit, reduced
from helpers.engine.engine_state import DIVERGED, Engine, EngineDiverged
from helpers.engine.gram import inner_products
from helpers.engine.memory import free_memory
from helpers.engine.network_decomposition import check_decomposition_dimension
from helpers.engine.observables import draw_observables, measure_observables
from helpers.record import Record, log_times
from helpers.runtime import provenance

DTYPES = {torch.float64: "float64", torch.float32: "float32"}
ENGINES = ("reduced", "explicit")
RECORDED_NUMBERS_PER_SAMPLE = 7  # float64 numbers that a Record keeps of each run, time and sample, with one to spare


def descend(problem: SignalNoise | Sample | list[SignalNoise | Sample] | tuple[SignalNoise | Sample, ...], m: int,
            init_std: float | Iterable[float], lr: float | Iterable[float], steps: int, seeds: int | Iterable[int], *,
            engine: str = "reduced", record_at: ArrayLike | None = None, device: str | torch.device = "cpu",
            dtype: torch.dtype = torch.float64, n_test: int = 1000, n_val: int = 0, zeta: float = 0.0,
            memory: int | None = None, progress: bool = False) -> Record:
    """Train the two-layer CNN by full-batch gradient descent and return a Record.

    Parameters
    ----------
    problem
        a SignalNoise (each seed draws its own data), a Sample (the data are fixed), or a list of either that shares n.
        Runs are all pairs of a problem and a seed, problem by problem.
    m
        filters per sign.
    init_std
        standard deviation sigma_0 of the initial weights; a number, or one for each problem.
    lr
        step size eta; a number, or one for each problem.
    steps
        gradient steps.
    seeds
        an integer or several. On a Sample, seed s starts from ``TwoLayerCNN(d, m, init_std, s)``.
    engine
        "reduced" (through inner products, any d; exact) or "explicit" (autograd on the weights). On a Sample both give
        the same result; on a SignalNoise the same labels and, in law, the same result.
    record_at
        increasing steps in [0, steps] to record at; log-spaced by default. The run ends at the last of them.
    device, dtype
        "cpu" or a CUDA device; torch.float64 or torch.float32.
    n_test
        test draws behind each fresh and observed error (a Sample's own test set takes their place).
    n_val
        draws, independent of those, behind the errors on a validation set; 0 with a Sample's own test set.
    zeta
        standard deviation of what is added to a reused noise patch; at 0 the reused error is exact.
    memory
        bytes the batch may use at a time; by default half of what is free. A larger batch is split.
    progress
        show a progress bar.

    Returns
    -------
    record
        the runs at the recorded steps.

    Raises
    ------
    ValueError
        on bad arguments.
    FloatingPointError
        if a run diverges: `EngineDiverged`, with the step and the run.
    MemoryError
        if not even one run fits into `memory`.

    Examples
    --------
    >>> from helpers import SignalNoise, descend
    >>> law = SignalNoise(40, 10_000, n_snr2=8.0, flip_plus=0.2, flip_minus=0.2)
    >>> record = descend(law, m=10, init_std=1e-5, lr=8e-4, steps=1000, seeds=range(2), record_at=[50, 1000])
    >>> record.mean_over(record.fits_true, "noisy")  # of two runs, at step 50 and 1000: read truly, then memorised
    array([[1.  , 0.  ],
           [0.75, 0.  ]])
    """
    m = checks.integer("m", m)
    steps = checks.integer("steps", steps, 0, 2**53)
    problems = _problems(problem)
    seeds = _seeds(seeds)
    init_std = _each("init_std", init_std, len(problems), lambda name, value: checks.real(name, value, 0.0))
    lr = _each("lr", lr, len(problems), checks.positive)
    checks.one_of("engine", engine, ENGINES)
    times = log_times(steps) if record_at is None else checks.increasing("record_at", record_at, steps)
    device = checks.device("device", device)
    checks.one_of("dtype", dtype, DTYPES)
    n_test = checks.integer("n_test", n_test)
    zeta = checks.real("zeta", zeta, 0.0)
    given_tests = _given_tests(problems)
    n_test = given_tests or n_test
    n_val = checks.integer("n_val", n_val, 0, 10**9)
    checks.require(not (given_tests and n_val), "n_val", n_val, "0 where a Sample brings its own test set")

    runs = [(*setting, seed) for setting in zip(problems, init_std, lr) for seed in seeds]
    size = _batch_size(runs, m, len(times), n_test + n_val, given_tests, engine, device, memory)
    start = time.perf_counter()
    parts = []
    with tqdm(total=len(runs) * int(times[-1]), disable=not progress, unit="step", unit_scale=True) as bar:
        for first in range(0, len(runs), size):
            batch = runs[first:first + size]
            try:
                parts.append(_descend_batch(batch, m, times, engine, n_test, n_val, zeta, device, dtype, bar))
            except EngineDiverged as error:  # it counts runs in its batch
                raise EngineDiverged(error.step, first + error.run) from None
    joined = {name: np.concatenate([part.pop(name) for part in parts]) for name in list(parts[0])}
    sizes = {"fresh": n_test, "observed": n_test, "reused": n_test if zeta else 0}
    sizes |= {"validation": n_val, "validation_observed": n_val} if n_val else {}
    config = {"engine": engine, "m": m, "steps": steps, "dtype": DTYPES[dtype], "zeta": zeta,
              "batch": size, "seconds": time.perf_counter() - start, **provenance(), "ran_on": str(device)}
    return Record(times=times, **joined, test_sizes=sizes, runs=[_describe(*run) for run in runs], config=config)


def _descend_batch(runs, m, times, engine, n_test, n_val, zeta, device, dtype, bar):
    """The Record arrays of a batch of runs, each with the runs first."""
    problems, init_std, lr, seeds = map(list, zip(*runs))
    draws = draw_observables(problems, seeds, m, n_test, n_val, zeta, device, dtype)
    batch = _engine(engine, problems, m, init_std, lr, seeds, device, dtype)
    seen = []
    for step in times:
        bar.update((int(step) - batch.step) * len(runs))
        batch.advance(int(step) - batch.step)
        state = batch.state()
        seen.append(measure_observables(state, batch.y, batch.y_obs, draws))
        _check_finite(seen[-1]["margins"], step)
    arrays = {name: np.stack([entry[name] for entry in seen], 1) for name in seen[0]}
    final = {"gamma_final": state.gamma, "rho_final": state.rho, "y": batch.y, "y_obs": batch.y_obs}
    return arrays | {name: value.double().cpu().numpy() for name, value in final.items()}


def _engine(kind, problems, m, init_std, lr, seeds, device, dtype) -> Engine:
    """The engine of this kind, one of ENGINES, with a batch of runs at their start."""
    if kind == "reduced":
        products = (inner_products(*one) for one in zip(problems, [m] * len(problems), init_std, seeds))
        return reduced.reduced_engine(products, lr, device, dtype)
    samples = [p if isinstance(p, Sample) else p.sample(seed) for p, seed in zip(problems, seeds)]
    return explicit.ExplicitEngine(samples, m, init_std, lr, seeds, device, dtype)


def _check_finite(margins: Float[np.ndarray, "runs n"], step: int | np.integer) -> None:
    good = np.abs(margins).mean(-1) <= DIVERGED
    if not good.all():
        raise EngineDiverged(int(step), int(np.argmin(good)))


def _problems(problem) -> list[SignalNoise | Sample]:
    problems = list(problem) if isinstance(problem, list | tuple) else [problem]
    kinds = all(isinstance(one, Sample | SignalNoise) for one in problems) and len(problems) > 0
    checks.require(kinds, "problem", problem, "a SignalNoise, a Sample, or a non-empty list of them")
    sizes = {one.n for one in problems}
    checks.require(len(sizes) == 1, "problem", f"<problems with n = {sorted(sizes)}>", "of one n")
    for one in problems:
        check_decomposition_dimension(one.n, one.d)
    return problems


def _seeds(seeds) -> list[int]:
    listed = list(seeds) if np.iterable(seeds) and not isinstance(seeds, str | bytes) else [seeds]
    checks.require(len(listed) > 0, "seeds", seeds, "an integer >= 0 or a non-empty sequence of them")
    return [checks.integer("seeds", seed, 0) for seed in listed]


def _each(argument: str, value: float | Iterable[float], count: int,
          check: Callable[[str, float], float]) -> list[float]:
    """One checked value per problem, from a single number or a sequence of `count`."""
    values = list(value) if np.iterable(value) and not isinstance(value, str | bytes) else [value] * count
    checks.require(len(values) == count, argument, value, f"a number or {count} of them, one a problem")
    return [check(argument, one) for one in values]


def _given_tests(problems) -> int:
    """How many test samples each problem brings: 0 for a SignalNoise."""
    sizes = {len(one.y_test) if isinstance(one, Sample) else 0 for one in problems}
    checks.require(len(sizes) == 1, "problem", f"<samples with {sorted(sizes)} test samples>", "of one n_test")
    return sizes.pop()


def _batch_size(runs, m, recorded, n_test, given_tests, engine, device, memory) -> int:
    """How many runs go at a time, so that they and the whole Record stay within `memory` bytes."""
    n = runs[0][0].n
    d = max(run[0].d for run in runs)
    budget = free_memory(device) // 2 if memory is None else checks.integer("memory", memory)
    # Twice: the parts are joined by copying.
    record = 2 * 8 * len(runs) * (recorded * (RECORDED_NUMBERS_PER_SAMPLE * n + 2 * m) + 2 * m * n)
    need = explicit.ExplicitEngine.bytes_per_run(n, d, m, n_test, given_tests) if engine == "explicit" else \
        reduced.ReducedEngine.bytes_per_run(n, m, n_test, given_tests)
    left = budget - (record if device.type == "cpu" else 0)
    if left < need:
        raise MemoryError(f"memory={budget}: {len(runs)} runs need {record} bytes to be recorded and {need} to run one "
                          "at a time; record at fewer steps, take fewer runs, or raise memory")
    return min(len(runs), left // need)


def _describe(problem, init_std, lr, seed) -> dict:
    law = problem.distribution if isinstance(problem, Sample) else problem
    return {"seed": seed, **asdict(law), "init_std": init_std, "lr": lr}
