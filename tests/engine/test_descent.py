"""Gradient descent: batches, memory, threads, what is recorded, divergence."""

import re
import threading
from importlib import metadata

import numpy as np
import pytest
import torch
from records import ARRAYS, ERRORS, assert_same

from helpers import Record, SignalNoise, TwoLayerCNN, descend

SETTINGS = {"m": 3, "init_std": 0.05, "lr": 0.3, "steps": 60}


def test_a_network_that_starts_at_zero_never_moves(law):
    """At w = 0 every relu is off, and its derivative counts as 0."""
    record = descend(law, 2, 0.0, 0.5, 20, seeds=0)
    assert not record.margins.any() and not record.gamma_final.any() and not record.rho_final.any()


def test_a_batch_of_problems_is_the_runs_one_by_one_in_the_order_of_problems_then_seeds(law):
    problems, lr, init_std = [law, law.replace(d=400, flip_plus=0.0), law.sample(5)], [0.1, 0.4, 0.2], [0.05, 0.02, 0.0]
    batch = descend(problems, 3, init_std, lr, 60, seeds=[4, 1])
    wanted = [(problem, rate, std, seed) for problem, rate, std in zip(problems, lr, init_std) for seed in (4, 1)]
    assert [(run["d"], run["lr"], run["init_std"], run["seed"]) for run in batch.runs] == [
        (problem.d, rate, std, seed) for problem, rate, std, seed in wanted]
    for index, (problem, rate, std, seed) in enumerate(wanted):
        alone = descend(problem, 3, std, rate, 60, seeds=seed)
        for name in ("y", "y_obs", *ARRAYS, *ERRORS):
            # Every run is computed by itself; only measure's batched products may round otherwise.
            np.testing.assert_allclose(getattr(batch, name)[index], getattr(alone, name)[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("engine", ["explicit", "reduced"])
def test_a_batch_split_for_memory_leaves_the_same_record(law, engine):
    call = {"problem": law, **SETTINGS, "seeds": range(5), "engine": engine, "n_test": 100}
    whole = descend(**call)
    with pytest.raises(MemoryError, match="memory=1000: 5 runs need") as caught:
        descend(**call, memory=1000)
    record, need = map(int, re.findall(r"need (\d+) bytes to be recorded and (\d+) to run one", str(caught.value))[0])
    split = descend(**call, memory=record + 2 * need)
    assert (whole.config["batch"], split.config["batch"]) == (5, 2)
    with pytest.raises(MemoryError):
        descend(**call, memory=record + need - 1)
    assert split.runs == whole.runs
    # The same numbers, run by run; measure's batched products may round otherwise.
    assert_same(whole, split, 1e-12)


def test_threads_take_runs_apart_and_end_with_the_call(law):
    before = torch.get_num_threads()
    one = descend(law, **SETTINGS, seeds=range(6))
    alive = threading.active_count()
    try:
        torch.set_num_threads(3)
        three = descend(law, **SETTINGS, seeds=range(6))
    finally:
        torch.set_num_threads(before)
    assert threading.active_count() == alive
    assert_same(one, three, 1e-12)


def test_what_is_recorded_does_not_depend_on_when(law):
    every = descend(law, **SETTINGS, seeds=[0, 1], record_at=range(61))
    some = descend(law, **SETTINGS, seeds=[0, 1], record_at=[3, 17, 45])
    assert some.times.tolist() == [3, 17, 45] and some.margins.shape == (2, 3, 20)
    for name in set(ARRAYS + ERRORS) - {"gamma_final", "rho_final"}:
        np.testing.assert_array_equal(getattr(some, name), getattr(every, name)[:, [3, 17, 45]])
    np.testing.assert_array_equal(some.gamma_final, every.gamma[:, 45])


def test_no_steps_leave_the_initial_network(sample):
    record = descend(sample, 3, 0.05, 0.3, 0, seeds=2)
    model = TwoLayerCNN(100, 3, 0.05, seed=2)
    margins = (sample.y_obs * model(sample.y[:, None] * sample.mu, sample.xi)).detach()
    assert record.times.tolist() == [0]
    np.testing.assert_allclose(record.margins[0, 0], margins, rtol=0, atol=1e-14)


def test_a_record_says_what_made_it(law):
    record = descend(law, **SETTINGS, seeds=3, zeta=0.5, n_test=50, dtype=torch.float32)
    assert isinstance(record, Record)
    told = {"seed": 3, "n": 20, "d": 100, "n_snr2": 4.0, "flip_plus": 0.1, "flip_minus": 0.3, "orthogonal": False,
            "init_std": 0.05, "lr": 0.3}
    assert told.items() <= record.runs[0].items()
    shared = {"engine": "reduced", "m": 3, "steps": 60, "dtype": "float32", "zeta": 0.5, "ran_on": "cpu"}
    assert shared.items() <= record.config.items()
    assert record.config["torch"] == metadata.version("torch")  # which may lack the build of torch.__version__
    assert record.test_sizes == {"fresh": 50, "observed": 50, "reused": 50}


def test_a_progress_bar_counts_gradient_steps(law, capsys):
    descend(law, **SETTINGS, seeds=[0, 1], progress=True)
    assert "120/120" in capsys.readouterr().err


def test_a_billion_dimensions_train_like_a_million():
    """No vector of length d: at d = 1e9 a single one would take 8 GB."""
    law = SignalNoise(50, 10**9, n_snr2=8.0, flip_plus=0.1, flip_minus=0.1)
    records = [descend(one, 10, 1e-3 * (2000 / one.d) ** 0.5, 50.0 / one.d * 10, 300, seeds=range(4))
               for one in (law, law.replace(d=10**6))]
    # Same labels; inner products of unit vectors differ by 1 / sqrt(d) = 1e-3, initial responses not at all in law.
    late = [record.mean_over(record.margins)[:, -1] for record in records]
    assert late[0].min() > 1 and np.abs(late[0] - late[1]).max() < 0.5


def test_an_overflow_is_reported_as_divergence_whatever_is_measured_then(law):
    """The covariance of test responses is not finite either; its factorisation must not speak first."""
    for engine in ("reduced", "explicit"):
        with pytest.raises(FloatingPointError, match="diverged at step 1:"):
            descend(law, 3, 0.05, 1e300, 5, seeds=0, engine=engine)
