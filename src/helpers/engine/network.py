"""The two-layer convolutional network and the decomposition of its weights (Han et al. 2025, section 3)."""

import torch
from torch import nn

from helpers import checks
from helpers.data.signal_noise import Sample
from helpers.streams import random_stream

SIGNS = (1.0, -1.0)  # index 0 of every weight-like array is j = +1, index 1 is j = -1


class TwoLayerCNN(nn.Module):
    """``f = F_{+1} - F_{-1}`` with ``F_j(x) = (1/m) sum_r [relu(<w_{j,r}, x1>) + relu(<w_{j,r}, x2>)]``.

    The second layer is fixed at +-1/m. ``weight`` is (2, m, d) float64, index 0 for j = +1 and 1 for j = -1, drawn as
    N(0, init_std^2) from `seed` by a stream of its own (it shares no draw with ``SignalNoise.sample(seed)``).
    """

    def __init__(self, d, m, init_std, seed):
        super().__init__()
        d, m = checks.integer("d", d), checks.integer("m", m)
        init_std = checks.real("init_std", init_std, 0.0)
        normals = random_stream(seed, "weights").standard_normal((2, m, d))
        self.weight = nn.Parameter(torch.from_numpy(init_std * normals))

    def forward(self, *patches):
        """f, shape (...,), on patches of shape (..., d): ``model(y * mu, xi)``, the pair as a tuple, or one tensor
        (..., patches, d)."""
        if len(patches) == 1 and isinstance(patches[0], tuple | list):
            patches = patches[0]
        elif len(patches) == 1:
            stacked = torch.as_tensor(patches[0])
            checks.require(stacked.ndim > 1, "patches.shape", tuple(stacked.shape), "(..., patches, d)")
            patches = stacked.unbind(-2)
        patches = [torch.as_tensor(patch).to(self.weight) for patch in patches]
        width, shapes = self.weight.shape[-1], [tuple(patch.shape) for patch in patches]
        alike = len(set(shapes)) == 1 and shapes[0][-1:] == (width,)
        checks.require(alike, "patch.shape", shapes, f"(..., {width}), the same for each patch")
        bad = sum(int((~torch.isfinite(patch)).sum()) for patch in patches)
        checks.require(bad == 0, "patch", f"<{bad} non-finite values>", "finite")
        return self.output(patches)

    def output(self, patches):
        """`forward` on a sequence of patches that were checked before, for a training loop."""
        return sum(self._of_patch(patch) for patch in patches)

    def _of_patch(self, patch):
        plus, minus = torch.relu(self.weight @ patch.reshape(-1, patch.shape[-1]).T).mean(1)
        return (plus - minus).reshape(patch.shape[:-1])


class Decomposition:
    """Coordinates of weight changes in the basis of mu and the noise patches of one sample.

    ``w = w_init + j gamma mu / |mu|^2 + sum_i rho_i xi_i / |xi_i|^2`` has one solution where mu and the n noise patches
    are linearly independent, which needs d >= n + 1. The thin QR factor of the basis is computed once.
    """

    def __init__(self, sample):
        check_dimension(sample.n, sample.d)
        vectors = sample.vectors
        self.squares = vectors.square().sum(1)
        units = vectors / self.squares.sqrt()[:, None]
        self.q, self.r = torch.linalg.qr(units.T)
        # |r_ii| is the distance of unit vector i from the span of those before it.
        distance = float(self.r.diagonal().abs().min())
        checks.require(distance > 1e-12, "sample", f"<vectors {distance:.1g} from dependent>",
                       "of linearly independent mu and noise patches")

    def __call__(self, change):
        """gamma (2, m) and rho (2, m, n) of a weight change (2, m, d)."""
        change = change.to(self.q)
        signs = torch.tensor(SIGNS, dtype=change.dtype)
        # change = sum_k a_k v_k / |v_k|, hence a = R^{-1} Q^T change, and a coefficient of v / |v|^2 is |v| a.
        a = torch.linalg.solve_triangular(self.r, (change @ self.q).mT, upper=True).mT
        coefficients = a * self.squares.sqrt()
        return signs[:, None] * coefficients[..., 0], coefficients[..., 1:]


def check_dimension(n, d):
    """Raise ValueError where n noise patches and the signal cannot be independent in dimension d."""
    checks.require(d >= n + 1, "d", d, f">= n + 1 = {n + 1}, or signal and {n} noise vectors do not decompose uniquely")


def decompose(weight, weight_init, sample):
    """Signal and noise coefficients of `weight` (2, m, d), started at `weight_init`, on `sample`.

    Returns gamma (2, m) and rho (2, m, n), float64 on the CPU, the unique solution of
    ``w_{j,r} = w_{j,r}(0) + j gamma_{j,r} mu/|mu|^2 + sum_i rho_{j,r,i} xi_i/|xi_i|^2`` (Han et al. 2025, section 4).
    Raises ValueError on other shapes, non-finite weights, d < n + 1, linearly dependent vectors, and weights that moved
    out of the span of mu and the noise patches, which gradient descent never leaves.
    """
    checks.instance("sample", sample, Sample)
    weight = checks.vectors("weight", weight, 2, None, sample.d)
    weight_init = checks.vectors("weight_init", weight_init, *weight.shape)
    decomposition, change = Decomposition(sample), weight - weight_init
    outside = float((change - change @ decomposition.q @ decomposition.q.T).norm())
    rounding = 1e-3 * float(change.norm()) + 1e-6 * float(weight_init.norm())  # of weights trained in float32
    checks.require(outside <= rounding, "weight", f"<moved by {outside:.3g} out of the span>",
                   "weight_init plus a combination of mu and the noise patches")
    return decomposition(change)


def coefficient_steps(responses, y, y_obs, rate):
    """One gradient step in the coordinates of the vectors themselves: ``w += S[..., 0] mu + sum_i S[..., i] xi_i``.

    Parameters
    ----------
    responses : (..., 2, m, n + 1) inner products of the filters with mu (index 0) and with xi_1..xi_n.
    y, y_obs : (..., n) true and observed labels.
    rate : lr / (n m), broadcast against (..., 1).

    Returns S (..., 2, m, n + 1), and the margins y_obs f, (..., n), that it used. This is the negative gradient of the
    mean logistic loss times lr: gamma moves by j |mu|^2 S[..., 0] and rho_i by |xi_i|^2 S[..., i].
    """
    on_signal, on_noise = responses[..., :1], responses[..., 1:]
    signal_patch = on_signal * y[..., None, None, :]  # <w, y_i mu>
    outputs = (torch.relu(signal_patch) + torch.relu(on_noise)).mean(-2)  # F_{+1} and F_{-1}
    margins = y_obs * (outputs[..., 0, :] - outputs[..., 1, :])
    push = rate * y_obs * torch.sigmoid(-margins)  # -rate * y_obs * l'
    push = torch.stack([push, -push], -2)[..., None, :]  # times j
    to_signal = (push * y[..., None, None, :] * (signal_patch > 0)).sum(-1, keepdim=True)
    to_noise = push * (on_noise > 0)
    return torch.cat([to_signal, to_noise], -1), margins
