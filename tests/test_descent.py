"""Gradient descent: reduced = explicit, the invariants of gamma and rho, batches, memory, divergence."""

import pickle
import re
import threading
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from records import ARRAYS, ERRORS, assert_same
from torch.nn import functional

from helpers import Record, SignalNoise, TwoLayerCNN, descend
from helpers.engine import reduced
from helpers.engine.explicit import ExplicitEngine
from helpers.engine.gram import inner_products
from helpers.engine.reduced import CompiledEngine, TorchEngine
from helpers.engine.state import Engine
from helpers.record import log_times

CPU = torch.device("cpu")
ENGINES = {"compiled": CompiledEngine, "torch": TorchEngine}
SETTINGS = {"m": 3, "init_std": 0.05, "lr": 0.3, "steps": 60}
FLIPS = {"none": (0.0, 0.0), "equal": (0.1, 0.1), "unequal": (0.05, 0.2)}


# The reduced engine against the explicit one.

@pytest.mark.parametrize("orthogonal", [False, True], ids=["plain", "orthogonal"])
@pytest.mark.parametrize("flips", FLIPS)
def test_reduced_and_explicit_agree_to_1e_10_over_1000_steps_at_the_papers_size(flips, orthogonal):
    plus, minus = FLIPS[flips]
    # Flips and geometry do not meet in the code: each of them once at the paper's size, their other pairs at a fifth.
    n = 200 if (flips == "equal") != orthogonal else 40
    law = SignalNoise(n, 10 * n, n_snr2=8.0, flip_plus=plus, flip_minus=minus, orthogonal=orthogonal)
    call = {"problem": law.sample(0), "m": 20, "init_std": 1e-3, "lr": 0.2, "steps": 1000, "seeds": 1,
            "record_at": log_times(1000, count=8)}
    explicit, fast = (descend(**call, engine=engine) for engine in ("explicit", "reduced"))
    assert fast.flipped.any() == (flips != "none") and fast.losses[:, -1].mean() < 0.1  # it has been trained
    # The claim is 1e-10. Rounding of 1e-16 a step accumulates to about 1e-13; nothing amplifies it, since the loss
    # flattens. The errors count signs, which rounding does not reach.
    assert_same(explicit, fast, 1e-10)


def test_reduced_and_explicit_agree_in_float32_as_far_as_float32_goes(sample):
    call = {"problem": sample, "seeds": [0, 1], **SETTINGS, "dtype": torch.float32}
    explicit, fast = (descend(**call, engine=engine) for engine in ("explicit", "reduced"))
    # Each step rounds at 6e-8 of values up to ten; 60 steps in a row, and sums of 100 products in another order.
    assert_same(explicit, fast, 2e-4, ARRAYS)
    assert_same(fast, descend(**call | {"dtype": torch.float64}), 2e-4, ARRAYS)
    assert np.abs(fast.margins - explicit.margins).max() > 0  # it was another computation


@pytest.mark.parametrize("engine", ["explicit", "reduced"])
def test_both_engines_are_gradient_descent_from_the_papers_network(sample, engine):
    """The network of the same seed, trained by the textbook loop, at every step."""
    record = descend(sample, **SETTINGS, seeds=7, engine=engine, record_at=range(61))
    model, margins = TwoLayerCNN(100, 3, 0.05, seed=7), []
    for _ in range(61):
        margins.append(sample.y_obs * model(sample.y[:, None] * sample.mu, sample.xi))
        loss = torch.log1p(torch.exp(-margins[-1])).mean()
        (gradient,) = torch.autograd.grad(loss, model.weight)
        with torch.no_grad():
            model.weight -= 0.3 * gradient
    margins = torch.stack(margins).detach().numpy()
    # 60 steps of rounding at 1e-16.
    np.testing.assert_allclose(record.margins[0], margins, rtol=0, atol=1e-12)
    np.testing.assert_allclose(record.losses[0], functional.softplus(-torch.from_numpy(margins)), rtol=0, atol=1e-12)


def test_given_test_patches_are_carried_exactly_by_both_engines(law):
    drawn = law.replace(n_snr2=0.5).sample(3, n_test=400)  # a weak signal, so that there are errors to count
    records = [descend(drawn, **SETTINGS, seeds=[0, 1], engine=engine) for engine in ("explicit", "reduced")]
    assert_same(*records, 1e-12)
    model = TwoLayerCNN(100, 3, 0.05, seed=1)
    for _ in range(60):
        loss = functional.softplus(-drawn.y_obs * model(drawn.y[:, None] * drawn.mu, drawn.xi)).mean()
        (gradient,) = torch.autograd.grad(loss, model.weight)
        with torch.no_grad():
            model.weight -= 0.3 * gradient
    wrong = drawn.y_test * model(drawn.y_test[:, None] * drawn.mu, drawn.xi_test) <= 0
    assert records[1].fresh_error[1, -1] == wrong.double().mean() > 0.02
    assert records[1].test_sizes == {"fresh": 400, "observed": 400, "reused": 0}


@given(st.integers(1, 12), st.integers(0, 30), st.integers(1, 5), st.sampled_from([(0.0, 0.0), (0.1, 0.4)]),
       st.booleans(), st.integers(0, 2**31))
def test_compiled_and_tensor_engines_agree_on_any_problem(n, extra, m, flips, orthogonal, seed):
    law = SignalNoise(n, n + 1 + extra, n_snr2=2.0, flip_plus=flips[0], flip_minus=flips[1], orthogonal=orthogonal)
    products = [inner_products(law, m, 0.1, seed + k) for k in range(3)]
    engines = [kind(products, [0.1, 0.5, 1.0], CPU, torch.float64) for kind in ENGINES.values()]
    for engine in engines:
        engine.advance(7)
        engine.advance(20)  # more than one block
    states = [engine.state() for engine in engines]
    for name in ("responses", "gamma", "rho", "weight_gram"):
        # 27 steps of rounding at 1e-16 of values up to a hundred.
        torch.testing.assert_close(*(getattr(state, name) for state in states), rtol=1e-11, atol=1e-11)


def test_a_state_does_not_change_when_the_engine_moves_on(law):
    for kind in ENGINES.values():
        engine = kind([inner_products(law, 2, 0.1, 0)], [0.5], CPU, torch.float64)
        state = engine.state()
        before = state.responses.clone()
        engine.advance(3)
        assert torch.equal(state.responses, before) and not torch.equal(engine.state().responses, before)


def test_each_engine_is_an_engine(law, sample):
    products = [inner_products(law, 2, 0.1, 0)]
    engines = [kind(products, [0.5], CPU, torch.float64) for kind in ENGINES.values()]
    engines.append(ExplicitEngine([sample], 2, [0.1], [0.5], [0], CPU, torch.float64))
    assert all(isinstance(engine, Engine) for engine in engines)
    assert not isinstance(reduced.ReducedEngine(products, [0.5], CPU, torch.float64), Engine)  # it cannot advance


# Invariants of the coefficients (THEORY of the decomposition): random problems, every step, every coefficient.

def trajectory(law, m, init_std, lr, seed, steps, kind):
    """The products of one run, and its states at steps 0..steps."""
    products = inner_products(law, m, init_std, seed)
    engine = ENGINES[kind]([products], [lr], CPU, torch.float64)
    states = [engine.state()]
    for _ in range(steps):
        engine.advance(1)
        states.append(engine.state())
    return products, states


runs = st.builds(
    lambda n, extra, c, plus, minus, orthogonal, noise_std, m, init_std, lr, seed: (
        SignalNoise(n, n + 1 + extra, n_snr2=c, flip_plus=plus, flip_minus=minus, orthogonal=orthogonal,
                    noise_std=noise_std), m, init_std, lr, seed),
    st.integers(1, 12), st.integers(0, 40), st.floats(0.2, 10), st.floats(0, 0.49), st.floats(0, 0.49), st.booleans(),
    st.floats(0.5, 2), st.integers(1, 4), st.floats(0, 0.5), st.floats(0.01, 2), st.integers(0, 2**31))


@pytest.mark.parametrize("kind", ENGINES)
@given(run=runs)
@settings(max_examples=25)
def test_rho_grows_from_zero_where_j_is_the_observed_label_and_falls_where_it_is_not(kind, run):
    products, states = trajectory(*run, steps=12, kind=kind)
    own = torch.stack([products.y_obs > 0, products.y_obs < 0])[:, None]  # (2, 1, n): j = y_obs_i
    for now, then in pairwise(states):
        change = then.rho[0] - now.rho[0]
        assert bool(torch.where(own, change >= 0, change <= 0).all())
        # rho moves exactly where the filter is active on its patch: it stops once the response is negative.
        active = now.responses[0, ..., 1:] > 0
        assert bool((change[~active] == 0).all())
    final = states[-1].rho[0]
    assert bool((states[0].rho == 0).all()) and bool(torch.where(own, final >= 0, final <= 0).all())


@pytest.mark.parametrize("kind", ENGINES)
@given(run=runs)
@settings(max_examples=25)
def test_gamma_and_rho_follow_the_update_rules_over_clean_and_noisy_samples(kind, run):
    law, m, _, lr, _ = run
    products, states = trajectory(*run, steps=6, kind=kind)
    y, y_obs, squares = products.y, products.y_obs, products.gram.diagonal()
    clean, noisy = (y == y_obs).double(), (y != y_obs).double()
    signs = torch.tensor([1.0, -1.0], dtype=torch.float64)[:, None]
    for now, then in pairwise(states):
        on_signal, on_noise = now.responses[0, ..., :1] * y, now.responses[0, ..., 1:]  # <w, y_i mu>, <w, xi_i>
        f = (signs[..., None] * (on_signal.clamp(min=0) + on_noise.clamp(min=0))).sum((0, 1)) / m
        derivative = -1 / (1 + torch.exp(y_obs * f))
        active = derivative * (on_signal > 0)
        gamma = -lr / (law.n * m) * squares[0] * ((active * clean).sum(-1) - (active * noisy).sum(-1))
        rho = -lr / (law.n * m) * squares[1:] * signs[..., None] * y_obs * derivative * (on_noise > 0)
        # Differences of accumulated coefficients, each rounded at 1e-16 of its size.
        atol = 1e-13 * float(1 + then.gamma.abs().max() + then.rho.abs().max() + squares.max())
        torch.testing.assert_close(then.gamma[0] - now.gamma[0], gamma, rtol=1e-9, atol=atol)
        torch.testing.assert_close(then.rho[0] - now.rho[0], rho, rtol=1e-9, atol=atol)


def test_a_network_that_starts_at_zero_never_moves(law):
    """At w = 0 every relu is off, and its derivative counts as 0."""
    record = descend(law, 2, 0.0, 0.5, 20, seeds=0)
    assert not record.margins.any() and not record.gamma_final.any() and not record.rho_final.any()


# Batches.

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


def test_without_a_folder_for_its_cache_the_loop_is_compiled_anew(monkeypatch):
    njit, asked = reduced.numba.njit, []

    def no_cache(cache=False, **options):
        asked.append(cache)
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return njit(**options)

    monkeypatch.setattr(reduced.numba, "njit", no_cache)
    double = reduced._compiled(lambda x: 2 * x)
    assert asked == [True, False] and double(21.0) == 42.0


# Recording.

def test_times_are_log_spaced_from_0_to_the_last_step():
    times = log_times(1000)
    assert times[0] == 0 and times[1] == 1 and times[-1] == 1000 and len(times) <= 51
    assert log_times(0).tolist() == [0] and log_times(1).tolist() == [0, 1]
    assert log_times(10).tolist() == list(range(11))
    late = times[times > 50]
    assert np.ptp(np.diff(np.log(late))) < 0.05  # equal ratios, up to rounding to whole steps


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
    assert shared.items() <= record.config.items() and torch.__version__ == record.config["torch"]
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


# Divergence.

@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("lr", "step"), [(1e7, 1), (1e30, 1), (3e5, None)])
def test_a_diverging_run_stops_with_the_same_step_on_every_engine(law, dtype, lr, step):
    drawn = law.replace(n_snr2=400.0).sample(0)
    steps = []
    for engine in ("reduced", "explicit"):
        for record_at in (None, [50], range(51)):
            with pytest.raises(FloatingPointError, match=r"run 0 diverged at step \d+: .*lower lr") as caught:
                descend(drawn, 3, 0.05, lr, 50, seeds=1, engine=engine, dtype=dtype, record_at=record_at)
            steps.append(caught.value.step)
    for kind in ENGINES.values():
        engine = kind([inner_products(drawn, 3, 0.05, 1)], [lr], CPU, dtype)
        with pytest.raises(FloatingPointError) as caught:
            engine.advance(50)
        steps.append(caught.value.step)
    assert set(steps) == {step or steps[0]}


def test_an_overflow_is_reported_as_divergence_whatever_is_measured_then(law):
    """The covariance of test responses is not finite either; its factorisation must not speak first."""
    for engine in ("reduced", "explicit"):
        with pytest.raises(FloatingPointError, match="diverged at step 1:"):
            descend(law, 3, 0.05, 1e300, 5, seeds=0, engine=engine)


def test_the_diverging_run_is_named_by_its_place_among_all_runs(law):
    call = {"m": 3, "init_std": 0.05, "lr": [0.1, 0.1, 1e8], "steps": 20, "n_test": 100}
    problems = [law, law, law]
    for memory in (None, 600_000):
        with pytest.raises(FloatingPointError, match="run 4 diverged"):
            descend(problems, **call, seeds=[0, 1], memory=memory)
    for kind in ENGINES.values():
        products = [inner_products(law, 3, 0.05, seed) for seed in range(3)]
        with pytest.raises(FloatingPointError, match="run 1 diverged"):
            kind(products, [0.1, 1e7, 1e9], CPU, torch.float64).advance(40)


def test_a_divergence_survives_the_way_back_from_another_process():
    error = pickle.loads(pickle.dumps(reduced.Diverged(12, 3)))
    assert (error.step, error.run) == (12, 3) and "run 3 diverged at step 12" in str(error)
