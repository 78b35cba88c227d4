"""What is read off a run at a recorded time: margins, coefficients, and the three test errors (def-test-errors)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int

from helpers import checks
from helpers.data.signal_noise import Sample, SignalNoise
from helpers.engine.engine_state import EngineState
from helpers.engine.gram import gram_square_root
from helpers.engine.network_decomposition import SIGNS
from helpers.entry import entry
from helpers.streams import random_stream


@dataclass(frozen=True, eq=False)
class ObservableDraws:
    """The random numbers behind a batch's test errors, drawn once per run so that its errors are smooth in time.

    Its axis "tests" counts the test draws and, after them, the n_val draws of the validation set; "filters" are the 2m
    of both signs.

    Attributes
    ----------
    normals
        behind the filters' responses to fresh noise; only for the validation set where the tests are given.
    zeta_normals
        behind their responses to what is added to a reused patch; none at zeta = 0.
    y, y_obs
        true and freshly flipped labels.
    patch
        index of the reused training patch.
    noise_std, mu_norm, orthogonal
        of each run's law; `orthogonal` is 1 for noise projected off the signal.
    zeta
        standard deviation of what is added to a reused patch.
    given
        whether the fresh noise patches are the sample's own test patches.
    n_val
        how many of the draws are the validation set, which comes from a stream of its own.
    """

    __test__ = False  # not a test class, whatever pytest thinks of its name

    normals: Float[torch.Tensor, "runs filters draws"]
    zeta_normals: Float[torch.Tensor, "runs filters zeta_draws"]
    y: Float[torch.Tensor, "runs tests"]
    y_obs: Float[torch.Tensor, "runs tests"]
    patch: Int[torch.Tensor, "runs n_test"]
    noise_std: Float[torch.Tensor, " runs"]
    mu_norm: Float[torch.Tensor, " runs"]
    orthogonal: Float[torch.Tensor, " runs"]
    zeta: float
    given: bool
    n_val: int


def draw_observables(problems: Sequence[Sample | SignalNoise], seeds: Sequence[int], m: int, n_test: int, n_val: int,
                     zeta: float, device: torch.device, dtype: torch.dtype) -> ObservableDraws:
    """ObservableDraws for runs of these problems and seeds. A Sample's own test set, if any, replaces fresh draws."""
    given = [isinstance(problem, Sample) and len(problem.y_test) > 0 for problem in problems]
    laws = [problem.distribution if isinstance(problem, Sample) else problem for problem in problems]
    columns = {name: [] for name in ("normals", "zeta_normals", "y", "y_obs", "patch")}
    for problem, law, own, seed in zip(problems, laws, given, seeds):
        rng = random_stream(seed, "test draws")
        y = problem.y_test.numpy() if own else rng.choice([-1.0, 1.0], n_test)
        y_obs = law.flip(y, rng)
        columns["patch"].append(rng.integers(law.n, size=n_test))
        normals = np.empty((2 * m, 0)) if own else rng.standard_normal((2 * m, n_test))
        columns["zeta_normals"].append(rng.standard_normal((2 * m, n_test if zeta else 0)))
        rng = random_stream(seed, "validation draws")
        y_val = rng.choice([-1.0, 1.0], n_val)
        columns["y"].append(np.append(y, y_val))
        columns["y_obs"].append(np.append(y_obs, law.flip(y_val, rng)))
        columns["normals"].append(np.append(normals, rng.standard_normal((2 * m, n_val)), 1))
    tensors = {name: torch.from_numpy(np.stack(values)).to(device) for name, values in columns.items()}
    tensors = {name: value if name == "patch" else value.to(dtype) for name, value in tensors.items()}
    scalars = {"noise_std": [law.noise_std for law in laws], "orthogonal": [law.orthogonal for law in laws],
               "mu_norm": [float(p.mu.norm()) if isinstance(p, Sample) else p.mu_norm for p in problems]}
    scalars = {name: torch.tensor(value, device=device, dtype=dtype) for name, value in scalars.items()}
    return ObservableDraws(**tensors, **scalars, zeta=zeta, given=any(given), n_val=n_val)


def measure_observables(state: EngineState, y: Float[torch.Tensor, "runs n"], y_obs: Float[torch.Tensor, "runs n"],
                        draws: ObservableDraws) -> dict[str, Float[np.ndarray, "runs ..."]]:
    """The per-time entries of a Record, by name."""
    values = readings_of(state, y, y_obs)
    values |= _test_errors(state, values["signal_response"], draws)
    return {name: value.double().cpu().numpy() for name, value in values.items()}


@entry
def observable_readings(state: EngineState, y: Float[torch.Tensor, "runs n"],
                        y_obs: Float[torch.Tensor, "runs n"]) -> dict[str, Float[torch.Tensor, "runs ..."]]:
    """Those entries that need no test draws, as tensors: the reused error among them is exact, for zeta = 0."""
    checks.labels_like("y", y, (len(state.rho), state.rho.shape[-1]))
    checks.labels_like("y_obs", y_obs, (len(state.rho), state.rho.shape[-1]))
    return readings_of(state, y, y_obs)


def readings_of(state: EngineState, y: Float[torch.Tensor, "runs n"],
                y_obs: Float[torch.Tensor, "runs n"]) -> dict[str, Float[torch.Tensor, "runs ..."]]:
    """`observable_readings` of an engine, whose labels were checked before."""
    on_signal = state.responses[..., 0]
    on_noise = state.responses[..., 1:]
    signal = torch.stack([_output(side * on_signal[..., None])[..., 0] for side in SIGNS], -1)
    noise = _output(on_noise)
    plus = (y_obs > 0)[:, None]  # where j = +1 is the observed label
    rho_own = torch.where(plus, *state.rho.unbind(1))
    rho_cross = torch.where(plus, *state.rho.flip(1).unbind(1))
    active = (torch.where(plus, *on_noise.unbind(1)) > 0).to(y)
    # Every training patch with either label.
    reused = (_wrong(signal[:, :1] + noise) + _wrong(-(signal[:, 1:] + noise))) / 2
    return {"margins": y_obs * (_of_label(signal, y) + noise), "signal_response": signal, "gamma": state.gamma,
            "rho": rho_own.mean(1), "rho_max": rho_own.amax(1), "rho_cross": rho_cross.mean(1),
            "rho_cross_min": rho_cross.amin(1), "active": active.mean(1), "reused_error": reused}


def _output(responses: Float[torch.Tensor, "runs 2 m patches"]) -> Float[torch.Tensor, "runs patches"]:
    """f of single patches from the filters' responses to them."""
    return _difference(torch.relu(responses))


def _difference(rectified):
    plus, minus = rectified.mean(2).unbind(1)
    return plus - minus


def _of_label(signal: Float[torch.Tensor, "runs 2"],
              y: Float[torch.Tensor, "runs labels"]) -> Float[torch.Tensor, "runs labels"]:
    """f on the signal patch of each label."""
    return torch.where(y > 0, signal[:, :1], signal[:, 1:])


def _test_errors(state, signal, draws):
    shape = (*state.responses.shape[:3], -1)
    covariance = _noise_covariance(state, draws)
    root = None if draws.given and not draws.zeta else gram_square_root(covariance)
    on_signal = _of_label(signal, draws.y)
    # In place where the array is ours: new ones of this size cost more than the arithmetic.
    if draws.given:
        f = on_signal + _output(state.test_responses)
    else:
        fresh = (draws.noise_std[:, None, None] * root) @ draws.normals
        f = on_signal + _difference(fresh.relu_().view(shape))
    n_test = draws.y.shape[1] - draws.n_val
    errors = {"fresh_error": _wrong((draws.y * f)[:, :n_test]), "observed_error": _wrong((draws.y_obs * f)[:, :n_test])}
    if draws.zeta:
        index = draws.patch[:, None, None].expand(*shape[:3], -1)
        patch = state.responses[..., 1:].gather(3, index).flatten(1, 2)
        patch.baddbmm_(root, draws.zeta_normals, alpha=draws.zeta)
        f_reused = on_signal[:, :n_test] + _difference(patch.relu_().view(shape))
        errors["reused_error"] = _wrong(draws.y[:, :n_test] * f_reused)
    if draws.n_val:
        errors |= {"validation_error": _wrong((draws.y * f)[:, n_test:]),
                   "validation_observed_error": _wrong((draws.y_obs * f)[:, n_test:])}
    return errors | _noise_law(covariance, draws)


def _noise_law(covariance, draws):
    """Mean of f on a fresh noise patch, and a bound on its Lipschitz constant in units of noise_std (prop-fresh-error).

    relu of a centred Gaussian of standard deviation s has mean s / sqrt(2 pi); the gradient of f on the patch is
    (1/m) sum of j w_{j,r} over the active filters, at most sqrt(2 / m) times the spectral norm of W.
    """
    plus, minus = covariance.diagonal(dim1=1, dim2=2).clamp(min=0).sqrt().chunk(2, 1)
    largest = torch.linalg.eigvalsh(covariance.nan_to_num(posinf=0.0, neginf=0.0))[:, -1].clamp(min=0)
    return {"noise_mean": draws.noise_std * (plus.mean(1) - minus.mean(1)) / (2 * math.pi) ** 0.5,
            "noise_scale": draws.noise_std * (largest * 2 / plus.shape[1]).sqrt()}


def _wrong(margins):
    return (margins <= 0).to(margins.dtype).mean(-1)


def _noise_covariance(state: EngineState, draws: ObservableDraws) -> Float[torch.Tensor, "runs filters filters"]:
    """Covariance of the filters' responses to unit noise: W W^T, or W P W^T for noise projected off the signal."""
    on_signal = state.responses[..., 0].flatten(1) / draws.mu_norm[:, None]
    seen = draws.orthogonal[:, None, None] * (on_signal[:, :, None] * on_signal[:, None, :])
    covariance = state.weight_gram - seen
    return (covariance + covariance.mT) / 2
