"""The engines on `meta`: a tensor left on the CPU is found without a GPU."""

import pytest
import torch
from devices import META, Mixed, OneDevice

from helpers import Record, checks
from helpers.engine import descent, observables, reduced
from helpers.engine.descent import descend
from helpers.engine.gram import inner_products
from helpers.engine.observables import draw_observables, measure_observables
from helpers.engine.reduced import TorchReducedEngine

M, STEPS = 3, 19  # a block of the tensor engine and three single steps
LATER = 10**5  # what stands for every number: a step later than all, margins that are large and not yet diverged
DTYPES = [torch.float64, torch.float32]


def engine(problem, dtype=torch.float64):
    return TorchReducedEngine([inner_products(problem, M, 0.05, seed) for seed in range(2)], [0.3, 0.1], META, dtype)


def draws_of(problem, n_val, zeta, device):
    return draw_observables([problem] * 2, [0, 1], M, 4, n_val, zeta, device, torch.float64)


@pytest.mark.parametrize("dtype", DTYPES)
def test_meta_holds_all_of_the_tensor_engine(law, dtype):
    """Its steps are those that a CUDA graph captures."""
    runs = engine(law, dtype)
    with OneDevice(number=LATER):
        runs.advance(STEPS)
        state = runs.state()
    assert runs.step == STEPS
    assert all(tensor.device == META and tensor.dtype == dtype for tensor in vars(state).values())
    assert all(buffer.device == META for buffer in (runs.done, runs.failed))


@pytest.mark.parametrize(("n_given", "n_val", "zeta"), [(0, 0, 0.0), (0, 2, 0.1), (4, 0, 0.0), (4, 0, 0.1)])
def test_meta_holds_all_that_measure_needs(law, n_given, n_val, zeta):
    problem = law.sample(0, n_test=n_given)
    runs = engine(problem)
    with OneDevice(truth=False):  # no factorisation failed
        values = measure_observables(runs.state(), runs.y, runs.y_obs, draws_of(problem, n_val, zeta, META))
    assert values["margins"].shape == (2, law.n) and values["fresh_error"].shape == (2,)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", descent.ENGINES)
def test_meta_takes_a_whole_descend(law, name, dtype, monkeypatch):
    monkeypatch.setattr(checks, "device", lambda argument, value: torch.device(value))
    monkeypatch.setattr(Record, "_check_values", lambda record: None)  # every number is LATER, errors too
    # The explicit engine asks whether the margins are small enough, measuring whether a factorisation failed.
    explicit = name == "explicit"
    if explicit:
        monkeypatch.setattr(observables, "gram_square_root", lambda covariance: torch.linalg.cholesky_ex(covariance)[0])
    with OneDevice(truth=explicit, number=LATER):
        record = descend([law, law], M, 0.05, 0.3, STEPS, 0, engine=name, device="meta", dtype=dtype, n_test=4,
                         n_val=2, zeta=0.1, memory=2**30)
    assert record.config["ran_on"] == "meta" and record.margins.shape == (2, len(record.times), law.n)


# Faults that no test on a CPU can see.


@pytest.mark.parametrize("name", ["y", "y_obs", "rate", "gram", "coefficients"])
def test_meta_finds_a_planted_tensor_of_the_engine_on_the_cpu(law, name):
    runs = engine(law)
    setattr(runs, name, torch.zeros(getattr(runs, name).shape, dtype=torch.float64))
    with OneDevice(number=LATER), pytest.raises(Mixed, match="cpu and meta"):
        runs.advance(1)


def test_meta_finds_test_draws_that_were_not_moved(law):
    runs = engine(law)
    with OneDevice(truth=False), pytest.raises(Mixed, match="cpu and meta"):
        measure_observables(runs.state(), runs.y, runs.y_obs, draws_of(law, 2, 0.1, "cpu"))


def test_meta_finds_a_constant_made_on_the_cpu(law, monkeypatch):
    monkeypatch.setattr(reduced, "torch", OnTheCpu())
    runs = engine(law)
    with OneDevice(), pytest.raises(Mixed, match="cpu and meta"):
        runs.state()


class OnTheCpu:
    """torch, except that `torch.tensor` forgets the device."""

    def __getattr__(self, name):
        return getattr(torch, name)

    def tensor(self, values, dtype=None, device=None):
        return torch.tensor(values, dtype=dtype)
