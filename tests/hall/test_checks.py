"""Bad input: every public entry refuses it with a ValueError that names the argument, its value and what is allowed."""

import dataclasses
import math
import re

import numpy as np
import pytest
import torch

from helpers import Record, SignalNoise, TwoLayerCNN, checks, decompose, descend
from helpers.engine.gram import inner_products

LAW = SignalNoise(6, 20, n_snr2=4.0)
SAMPLE = LAW.sample(0)
WEIGHT = torch.zeros(2, 3, 20)
RECORD = Record(times=[0, 1], y=np.ones((1, 3)), y_obs=np.ones((1, 3)), margins=np.ones((1, 2, 3)))


def signal_noise(**changed):
    return SignalNoise(**{"n": 6, "d": 20, "n_snr2": 4.0} | changed)


def network(**changed):
    return TwoLayerCNN(**{"d": 20, "m": 3, "init_std": 0.1, "seed": 0} | changed)


def run(**changed):
    return descend(**{"problem": LAW, "m": 3, "init_std": 0.1, "lr": 0.1, "steps": 5, "seeds": 0} | changed)


def sample(**changed):
    return dataclasses.replace(SAMPLE, **changed)


def coefficients(**changed):
    return decompose(**{"weight": WEIGHT, "weight_init": WEIGHT, "sample": SAMPLE} | changed)


NOT_POSITIVE = (0, -1.0, math.nan, math.inf, "1", True, 10**400)
NOT_A_RATE = (-0.1, 0.5, 1.0, math.nan, "0.1", None)
NOT_A_SIZE = (0, -3, 2.0, "3", None, True)
NOT_A_SEED = (-1, 0.5, "0", None, True)
NAN = math.nan * WEIGHT

# (entry, argument, bad values, what the message says is allowed)
BAD = [
    (signal_noise, "n", NOT_A_SIZE, "an integer >= 1"),
    (signal_noise, "d", (1, *NOT_A_SIZE, 10**400), "an integer >= 2"),
    (signal_noise, "n_snr2", NOT_POSITIVE, "a finite number in (0, inf)"),
    (signal_noise, "noise_std", NOT_POSITIVE, "a finite number in (0, inf)"),
    (signal_noise, "flip_plus", NOT_A_RATE, "a finite number in [0, 0.5)"),
    (signal_noise, "flip_minus", NOT_A_RATE, "a finite number in [0, 0.5)"),
    (signal_noise, "orthogonal", ("yes", None, np.zeros(2)), "one of False, True"),
    (LAW.sample, "seed", NOT_A_SEED, "an integer >= 0"),
    (lambda n_test: LAW.sample(0, n_test=n_test), "n_test", (-1, 1.5, None), "an integer >= 0"),
    (sample, "y", (torch.zeros(6), 2 * SAMPLE.y), "labels -1 or +1"),
    (sample, "y_obs", (torch.full((6,), math.nan),), "finite"),
    (sample, "y_test", (torch.full((0, 2), 1.0),), "(any)"),
    (sample, "mu", (SAMPLE.mu[:-1], SAMPLE.mu[None], 3.0), "(20)"),
    (sample, "mu", (None, "signal", np.array(["a"] * 20), SAMPLE.mu + 0j, [[1.0], [1.0, 2.0]]), "an array of real"),
    (sample, "xi", (SAMPLE.xi.T, SAMPLE.xi[:5]), "(6, 20)"),
    (sample, "xi", (SAMPLE.xi * math.inf,), "finite"),
    (sample, "distribution", (None, SAMPLE), "a SignalNoise"),
    (network, "d", NOT_A_SIZE, "an integer >= 1"),
    (network, "m", NOT_A_SIZE, "an integer >= 1"),
    (network, "init_std", (-0.1, math.nan, math.inf, "1", None), "a finite number in [0, inf)"),
    (network, "seed", NOT_A_SEED, "an integer >= 0"),
    (lambda patch: network()(patch, torch.zeros(20)), "patch", (torch.zeros(19), torch.zeros(3, 21), 1.0), "(..., 20)"),
    (lambda patches: network()(patches), "patches", (torch.zeros(20), 1.0), "(..., patches, d)"),
    (coefficients, "weight", (WEIGHT[0], WEIGHT[..., :-1], torch.zeros(3, 3, 20)), "(2, any, 20)"),
    (coefficients, "weight", (NAN,), "finite"),
    (coefficients, "weight_init", (WEIGHT[:, :2],), "(2, 3, 20)"),
    (coefficients, "weight_init", (NAN,), "finite"),
    (coefficients, "sample", (None, LAW), "a Sample"),
    (coefficients, "sample", (sample(xi=SAMPLE.xi[[0] * 6]), sample(mu=0 * SAMPLE.mu)), "linearly independent"),
    (run, "problem", (None, [], "law", [LAW, 3]), "a SignalNoise, a Sample, or a non-empty list of them"),
    (run, "problem", ([LAW, LAW.replace(n=7)],), "of one n"),
    (run, "problem", ([SAMPLE, LAW.sample(1, n_test=2)],), "of one n_test"),
    (run, "m", NOT_A_SIZE, "an integer >= 1"),
    (run, "init_std", (-0.1, math.nan, math.inf, "1", None), "a finite number in [0, inf)"),
    (run, "init_std", ([0.1, 0.1], []), "a number or 1 of them"),
    (run, "lr", (*NOT_POSITIVE, None), "a finite number in (0, inf)"),
    (run, "steps", (-1, 1.5, None, "5"), "an integer >= 0"),
    (run, "seeds", (*NOT_A_SEED, [0, -1], [[0, 1]], [[0], [1, 2]], np.zeros((2, 2), int)), "an integer >= 0"),
    (run, "seeds", ([], range(0)), "an integer >= 0 or a non-empty sequence"),
    (run, "engine", ("fast", None, ["reduced"], np.array(["a", "b"])), "one of 'reduced', 'explicit'"),
    (run, "record_at", ([], [0, 6], [-1, 2], [2, 2], [3, 1], [1.5], "ab", 3, [[1], [2, 3]], [True]),
     "strictly increasing integers in [0, 5]"),
    (run, "device", ("tpu", "meta", None, 1.5, "cuda:99"), "one of 'cpu'"),
    (run, "dtype", (torch.float16, torch.int64, np.float64, "float64", None), "one of torch.float64, torch.float32"),
    (run, "n_test", NOT_A_SIZE, "an integer >= 1"),
    (run, "zeta", (-1.0, math.nan, math.inf, "0", None), "a finite number in [0, inf)"),
    (run, "memory", (0, -5, 1e9, "1 GB"), "an integer >= 1"),
    (lambda seed: inner_products(LAW, 2, 0.1, seed), "seed", NOT_A_SEED, "an integer >= 0"),
    (lambda which: RECORD.mean_over(RECORD.losses, which), "which", ("dirty", None), "one of 'all', 'clean', 'noisy'"),
    (lambda values: RECORD.mean_over(values), "values", (np.ones((1, 1, 3)), 1.0), "(1, 2, 3)"),
    (RECORD.interval, "which", ("old", None), "one of 'fresh', 'reused', 'observed'"),
    (lambda level: RECORD.interval("fresh", level), "level", (0, 1, 1.5, math.nan), "a finite number in (0, 1)"),
    (RECORD.to_frame, "per", ("sampel", None), "one of 'run', 'sample'"),
]
CASES = [pytest.param(entry, argument, value, allowed, id=f"{argument}={str(value).split(chr(10))[0][:25]}-{number}")
         for number, (entry, argument, values, allowed) in enumerate(BAD) for value in values]


@pytest.mark.parametrize(("entry", "argument", "value", "allowed"), CASES)
def test_bad_input_is_refused_with_its_name_its_value_and_what_is_allowed(entry, argument, value, allowed):
    with pytest.raises(ValueError) as caught:
        entry(**{argument: value})
    message = str(caught.value)
    # The value stands there itself, or its shape or type where it is an array, or the element that is wrong.
    assert re.match(rf"{argument}(\.shape)?=.+: must be ", message) and allowed in message, message
    if isinstance(value, str | int | float | None) and not message.startswith(f"{argument}.shape"):
        assert message.startswith(f"{argument}={value!r}"[:100]), message
    assert len(message) < 600 and "\n" not in message


@pytest.mark.parametrize("entry", [
    lambda: run(problem=SignalNoise(6, 6, snr=1.0)),
    lambda: run(problem=SignalNoise(6, 6, snr=1.0).sample(0)),
    lambda: run(problem=[LAW, SignalNoise(6, 6, snr=1.0)], engine="explicit"),
    lambda: decompose(torch.zeros(2, 1, 6), torch.zeros(2, 1, 6), SignalNoise(6, 6, snr=1.0).sample(0)),
    lambda: inner_products(SignalNoise(6, 6, snr=1.0), 2, 0.1, 0),
])
def test_a_dimension_too_small_for_the_decomposition_is_refused(entry):
    with pytest.raises(ValueError, match=r"d=6: must be >= n \+ 1 = 7"):
        entry()


@pytest.mark.parametrize("orthogonal", [False, True])
def test_the_smallest_dimension_that_decomposes_is_accepted(orthogonal):
    for problem in (SignalNoise(6, 7, snr=1.0, orthogonal=orthogonal), SignalNoise(6, 7, snr=1.0).sample(0)):
        assert np.isfinite(run(problem=problem).rho_final).all()


@pytest.mark.parametrize("given", [{}, {"snr": 1.0, "n_snr2": 2.0}, {"snr": 1.0, "mu_norm": 2.0, "n_snr2": 1.0}])
def test_exactly_one_signal_strength_is_asked_for(given):
    with pytest.raises(ValueError, match=r"n_snr2, mu_norm, snr=\(.*\): exactly one must be given"):
        SignalNoise(6, 20, **given)


def test_a_condition_that_no_run_meets_is_refused():
    with pytest.raises(ValueError, match=r"conditions=\{'seed': 4\}: must be met by at least one run"):
        RECORD.select(seed=4)


def test_an_interval_of_an_error_that_was_not_measured_is_refused():
    with pytest.raises(ValueError, match="which='fresh': this record has no such test error"):
        RECORD.interval("fresh")


def test_numbers_of_numpy_and_bounds_that_are_allowed_are_accepted():
    assert checks.integer("n", np.int32(3)) == 3 and type(checks.integer("n", np.int64(3))) is int
    assert checks.real("x", np.float32(0.5)) == 0.5 and checks.real("x", 0, 0.0) == 0.0
    assert type(checks.real("x", 1)) is float
    assert signal_noise(flip_plus=0, orthogonal=np.True_).orthogonal is True
    assert run(seeds=np.arange(2), lr=np.float64(0.1), record_at=torch.tensor([0, 5])).margins.shape == (2, 2, 6)
    assert run(seeds={3}, init_std=[0.1], device=torch.device("cpu")).runs[0]["seed"] == 3
    assert signal_noise(d=10**15).d == 10**15


def test_a_long_value_is_cut_short_in_the_message():
    with pytest.raises(ValueError) as caught:
        checks.require(False, "x", list(range(10_000)), "short")
    assert len(str(caught.value)) < 400


def test_python_floats_keep_their_sixteen_digits():
    assert checks.vectors("x", [0.1, 1 / 3], 2).tolist() == [0.1, 1 / 3]
