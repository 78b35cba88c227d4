"""What is read off a run at a recorded time: margins, coefficients, and the three test errors."""

import math
from dataclasses import dataclass

import numpy as np
import torch

from helpers.data.signal_noise import Sample
from helpers.engine.network import SIGNS
from helpers.streams import random_stream


@dataclass(frozen=True, eq=False)
class TestDraws:
    """The random numbers behind a batch's test errors, drawn once a run so that its errors are smooth in time.

    normals (runs, 2m, n_test + n_val); y, y_obs (runs, n_test + n_val): true and freshly flipped labels; the last n_val
    are the validation set, drawn from a stream of its own. zeta_normals (runs, 2m, n_test); patch (runs, n_test): index
    of the reused training patch; zeta: std of what is added to it; noise_std, mu_norm, orthogonal: (runs,).
    given: whether the fresh noise patches are the sample's own test patches.
    """

    __test__ = False  # not a test class, whatever pytest thinks of its name

    normals: torch.Tensor
    zeta_normals: torch.Tensor
    y: torch.Tensor
    y_obs: torch.Tensor
    patch: torch.Tensor
    noise_std: torch.Tensor
    mu_norm: torch.Tensor
    orthogonal: torch.Tensor
    zeta: float
    given: bool
    n_val: int


def draw_tests(problems, seeds, m, n_test, n_val, zeta, device, dtype):
    """TestDraws for runs of these problems and seeds. A Sample's own test set, if any, replaces fresh draws."""
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
    return TestDraws(**tensors, **scalars, zeta=zeta, given=any(given), n_val=n_val)


def measure(state, y, y_obs, draws):
    """The per-time entries of a Record, as a dict of NumPy arrays with the runs first; y, y_obs are (runs, n)."""
    values = readings(state, y, y_obs)
    values |= _test_errors(state, values["signal_response"], draws)
    return {name: value.double().cpu().numpy() for name, value in values.items()}


def readings(state, y, y_obs):
    """Those entries that need no test draws, as tensors: the reused error among them is exact, for zeta = 0."""
    on_signal, on_noise = state.responses[..., 0], state.responses[..., 1:]
    signal = torch.stack([_output(side * on_signal[..., None])[..., 0] for side in SIGNS], -1)
    noise = _output(on_noise)
    plus = (y_obs > 0)[:, None]  # where j = +1 is the observed label
    rho_own, rho_cross = torch.where(plus, *state.rho.unbind(1)), torch.where(plus, *state.rho.flip(1).unbind(1))
    active = (torch.where(plus, *on_noise.unbind(1)) > 0).to(y)
    # Every training patch with either label.
    reused = (_wrong(signal[:, :1] + noise) + _wrong(-(signal[:, 1:] + noise))) / 2
    return {"margins": y_obs * (_of_label(signal, y) + noise), "signal_response": signal, "gamma": state.gamma,
            "rho": rho_own.mean(1), "rho_max": rho_own.amax(1), "rho_cross": rho_cross.mean(1),
            "rho_cross_min": rho_cross.amin(1), "active": active.mean(1), "reused_error": reused}


def _output(responses):
    """f of one patch from the filters' responses to it, (runs, 2, m, patches) -> (runs, patches)."""
    return _difference(torch.relu(responses))


def _difference(rectified):
    plus, minus = rectified.mean(2).unbind(1)
    return plus - minus


def _of_label(signal, y):
    """f on the signal patch of each label: signal (runs, 2), y (runs, k) -> (runs, k)."""
    return torch.where(y > 0, signal[:, :1], signal[:, 1:])


def _test_errors(state, signal, draws):
    shape = (*state.responses.shape[:3], -1)
    covariance = _noise_covariance(state, draws)
    root = None if draws.given and not draws.zeta else _square_root(covariance)
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


def _noise_covariance(state, draws):
    """(runs, 2m, 2m): covariance of the filters' responses to unit noise, W W^T, or W P W^T off the signal."""
    on_signal = state.responses[..., 0].flatten(1) / draws.mu_norm[:, None]
    seen = draws.orthogonal[:, None, None] * (on_signal[:, :, None] * on_signal[:, None, :])
    covariance = state.weight_gram - seen
    return (covariance + covariance.mT) / 2


def _square_root(covariance):
    root, failed = torch.linalg.cholesky_ex(covariance)
    if failed.any():  # singular, e.g. fewer dimensions than filters: any square root will do
        # A run that diverged has no finite covariance either; its margins tell.
        finite = covariance[failed > 0].nan_to_num(posinf=0.0, neginf=0.0)
        values, axes = torch.linalg.eigh(finite)
        root[failed > 0] = axes * values.clamp(min=0).sqrt()[:, None]
    return root
