"""The reduced engines: invariants and updates of gamma and rho, states, divergence."""

import pickle
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings, strategies as st

from helpers import SignalNoise, descend
from helpers.engine import reduced
from helpers.engine.engine_state import Engine
from helpers.engine.explicit import ExplicitEngine
from helpers.engine.gram import inner_products
from helpers.engine.reduced import CompiledReducedEngine, TorchReducedEngine

CPU = torch.device("cpu")
ENGINES = {"compiled": CompiledReducedEngine, "torch": TorchReducedEngine}


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


def test_each_engine_is_an_engine(law):
    products = [inner_products(law, 2, 0.1, 0)]
    engines = [kind(products, [0.5], CPU, torch.float64) for kind in ENGINES.values()]
    engines.append(ExplicitEngine([law.sample(0)], 2, [0.1], [0.5], [0], CPU, torch.float64))
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
    error = pickle.loads(pickle.dumps(reduced.EngineDiverged(12, 3)))
    assert (error.step, error.run) == (12, 3) and "run 3 diverged at step 12" in str(error)
