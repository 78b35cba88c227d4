"""The two-layer convolutional network and the decomposition of its weights (Han et al. 2025, section 3)."""

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Float
from numpy.typing import ArrayLike
from torch import nn

from helpers import checks
from helpers.data.signal_noise import Sample
from helpers.entry import entry
from helpers.streams import random_stream

SIGNS = (1.0, -1.0)  # index 0 of every weight-like array is j = +1, index 1 is j = -1


class TwoLayerCNN(nn.Module):
    """``f = F_{+1} - F_{-1}`` with ``F_j(x) = (1/m) sum_r [relu(<w_{j,r}, x1>) + relu(<w_{j,r}, x2>)]``.

    The network of def-network. The second layer is fixed at +-1/m. The weights are drawn as N(0, init_std^2) from
    `seed` by a stream of their own: they share no draw with ``SignalNoise.sample(seed)``.

    Parameters
    ----------
    d
        length of a patch.
    m
        filters per sign.
    init_std
        standard deviation sigma_0 of the initial weights.
    seed
        of the initial weights, an integer >= 0.

    Attributes
    ----------
    weight
        the filters w_{j,r}, index 0 for j = +1 and 1 for j = -1; float64.

    Examples
    --------
    >>> from helpers import SignalNoise, TwoLayerCNN
    >>> sample = SignalNoise(4, 50, mu_norm=3.0).sample(seed=0)
    >>> model = TwoLayerCNN(d=50, m=2, init_std=0.1, seed=0)
    >>> model(sample.y[:, None] * sample.mu, sample.xi).detach().numpy().round(3)  # f of each sample
    array([ 0.23 , -0.297,  1.1  , -0.147])
    """

    weight: Float[nn.Parameter, "2 m d"]

    def __init__(self, d: int, m: int, init_std: float, seed: int) -> None:
        super().__init__()
        d = checks.integer("d", d, 1, 10**12)
        m = checks.integer("m", m, 1, 10**12)
        init_std = checks.real("init_std", init_std, 0.0)
        normals = random_stream(seed, "weights").standard_normal((2, m, d))
        self.weight = nn.Parameter(torch.from_numpy(init_std * normals))

    def forward(self, *patches: ArrayLike | torch.Tensor | Sequence[ArrayLike | torch.Tensor],
                ) -> Float[torch.Tensor, "*batch"]:
        """f of each sample: ``model(y * mu, xi)``.

        Parameters
        ----------
        patches
            the patches, each of shape (..., d), one by one or as a tuple; or all of them in one tensor of shape (...,
            patches, d).
        """
        if len(patches) == 1 and isinstance(patches[0], tuple | list):
            patches = patches[0]
        elif len(patches) == 1:
            stacked = torch.as_tensor(patches[0])
            checks.require(stacked.ndim > 1, "patches.shape", tuple(stacked.shape), "(..., patches, d)")
            patches = stacked.unbind(-2)
        patches = [torch.as_tensor(patch).to(self.weight) for patch in patches]
        width = self.weight.shape[-1]
        shapes = [tuple(patch.shape) for patch in patches]
        alike = len(set(shapes)) == 1 and shapes[0][-1:] == (width,)
        checks.require(alike, "patch.shape", shapes, f"(..., {width}), the same for each patch")
        bad = sum(int((~torch.isfinite(patch)).sum()) for patch in patches)
        checks.require(bad == 0, "patch", f"<{bad} non-finite values>", "finite")
        return self.output(patches)

    def output(self, patches: Iterable[Float[torch.Tensor, "*batch d"]]) -> Float[torch.Tensor, "*batch"]:
        """`forward` on a sequence of patches that were checked before, for a training loop."""
        return sum(self._of_patch(patch) for patch in patches)

    def _of_patch(self, patch):
        plus, minus = torch.relu(self.weight @ patch.reshape(-1, patch.shape[-1]).T).mean(1)
        return (plus - minus).reshape(patch.shape[:-1])


class Decomposition:
    """Coordinates of weight changes in the basis of mu and the noise patches of one sample.

    ``w = w_init + j gamma mu / |mu|^2 + sum_i rho_i xi_i / |xi_i|^2`` has one solution where mu and the n noise patches
    are linearly independent, which needs d >= n + 1 (lem-decomposition). The thin QR factor of the basis is computed
    once. Raises ValueError where the vectors are dependent.
    """

    @entry
    def __init__(self, sample: Sample) -> None:
        check_decomposition_dimension(sample.n, sample.d)
        vectors = sample.vectors
        self.squares = vectors.square().sum(1)
        units = vectors / self.squares.sqrt()[:, None]
        self.q, self.r = torch.linalg.qr(units.T)
        # |r_ii| is the distance of unit vector i from the span of those before it.
        distance = float(self.r.diagonal().abs().min())
        checks.require(distance > 1e-12, "sample", f"<vectors {distance:.1g} from dependent>",
                       "of linearly independent mu and noise patches")

    def __call__(self, change: Float[torch.Tensor, "2 m d"],
                 ) -> tuple[Float[torch.Tensor, "2 m"], Float[torch.Tensor, "2 m n"]]:
        """gamma and rho of a weight change."""
        change = change.to(self.q)
        signs = torch.tensor(SIGNS, dtype=change.dtype)
        # change = sum_k a_k v_k / |v_k|, hence a = R^{-1} Q^T change, and a coefficient of v / |v|^2 is |v| a.
        a = torch.linalg.solve_triangular(self.r, (change @ self.q).mT, upper=True).mT
        coefficients = a * self.squares.sqrt()
        return signs[:, None] * coefficients[..., 0], coefficients[..., 1:]


def check_decomposition_dimension(n: int, d: int) -> None:
    """Raise ValueError where n noise patches and the signal cannot be independent in dimension d."""
    checks.require(d >= n + 1, "d", d, f">= n + 1 = {n + 1}, or signal and {n} noise vectors do not decompose uniquely")


def decompose(weight: ArrayLike | torch.Tensor, weight_init: ArrayLike | torch.Tensor, sample: Sample,
              ) -> tuple[Float[torch.Tensor, "2 m"], Float[torch.Tensor, "2 m n"]]:
    """Signal and noise coefficients of weights that gradient descent moved.

    They are the unique solution of
    ``w_{j,r} = w_{j,r}(0) + j gamma_{j,r} mu/|mu|^2 + sum_i rho_{j,r,i} xi_i/|xi_i|^2`` (eq-decomposition; Han et al.
    2025, section 4).

    Parameters
    ----------
    weight, weight_init
        the weights now and at the start, each of shape (2, m, d).
    sample
        the data they were trained on.

    Returns
    -------
    gamma
        signal coefficients, float64 on the CPU.
    rho
        noise coefficients, likewise.

    Raises
    ------
    ValueError
        on other shapes, non-finite weights, d < n + 1, linearly dependent vectors, and weights that moved out of the
        span of mu and the noise patches, which gradient descent never leaves.

    Examples
    --------
    >>> from helpers import SignalNoise, TwoLayerCNN, decompose
    >>> sample = SignalNoise(3, 20, mu_norm=2.0).sample(seed=0)
    >>> start = TwoLayerCNN(d=20, m=2, init_std=0.1, seed=0).weight.detach()
    >>> gamma, rho = decompose(start + sample.mu / sample.mu.square().sum(), start, sample)
    >>> gamma.numpy().round(6)  # each filter moved by mu/|mu|^2: j gamma = 1
    array([[ 1.,  1.],
           [-1., -1.]])
    >>> bool(rho.abs().max() < 1e-12)
    True
    """
    checks.instance("sample", sample, Sample)
    weight = checks.vectors("weight", weight, 2, None, sample.d)
    weight_init = checks.vectors("weight_init", weight_init, *weight.shape)
    decomposition = Decomposition(sample)
    change = weight - weight_init
    outside = float((change - change @ decomposition.q @ decomposition.q.T).norm())
    rounding = 1e-3 * float(change.norm()) + 1e-6 * float(weight_init.norm())  # of weights trained in float32
    checks.require(outside <= rounding, "weight", f"<moved by {outside:.3g} out of the span>",
                   "weight_init plus a combination of mu and the noise patches")
    return decomposition(change)


@entry(gaps=("responses",))
def decomposition_steps(
        responses: Float[torch.Tensor, "*batch 2 m R"], y: Float[torch.Tensor, "*batch n"],
        y_obs: Float[torch.Tensor, "*batch n"], rate: float | Float[torch.Tensor, "*#batch 1"],
) -> tuple[Float[torch.Tensor, "*batch 2 m R"], Float[torch.Tensor, "*batch n"]]:
    """One gradient step in the coordinates of the vectors themselves: ``w += S[..., 0] mu + sum_i S[..., i] xi_i``.

    S is the negative gradient of the mean logistic loss times lr (prop-gradient): gamma moves by ``j |mu|^2 S[..., 0]``
    and rho_i by ``|xi_i|^2 S[..., i]`` (prop-updates).

    Parameters
    ----------
    responses
        inner products of the filters with mu (index 0) and with xi_1..xi_n, R = n + 1 of them. Not finite where a run
        diverged.
    y, y_obs
        true and observed labels.
    rate
        lr / (n m).

    Returns
    -------
    steps
        S.
    margins
        y_obs f, before the step.

    Raises
    ------
    ValueError
        If shapes do not fit together, a label is not -1 or +1, or a rate is negative.
    """
    *batch, signs, _, columns = responses.shape
    checks.require(signs == 2 and columns > 1, "responses.shape", tuple(responses.shape), "(..., 2, m, n + 1)")
    checks.labels_like("y", y, (*batch, columns - 1))
    checks.labels_like("y_obs", y_obs, (*batch, columns - 1))
    steps = torch.as_tensor(rate)
    checks.require(bool((steps >= 0).all()) and steps.numel() > 0, "rate", rate, "0 or more")
    checks.broadcast("rate", steps, (*batch, columns - 1), grow=False)
    return step_in_coordinates(responses, y, y_obs, rate)


def step_in_coordinates(
        responses: Float[torch.Tensor, "*batch 2 m R"], y: Float[torch.Tensor, "*batch n"],
        y_obs: Float[torch.Tensor, "*batch n"], rate: float | Float[torch.Tensor, "*#batch 1"],
) -> tuple[Float[torch.Tensor, "*batch 2 m R"], Float[torch.Tensor, "*batch n"]]:
    """`decomposition_steps` on what was checked before, for each step of a run."""
    on_signal = responses[..., :1]
    on_noise = responses[..., 1:]
    signal_patch = on_signal * y[..., None, None, :]  # <w, y_i mu>
    outputs = (torch.relu(signal_patch) + torch.relu(on_noise)).mean(-2)  # F_{+1} and F_{-1}
    margins = y_obs * (outputs[..., 0, :] - outputs[..., 1, :])
    push = rate * y_obs * torch.sigmoid(-margins)  # -rate * y_obs * l'
    push = torch.stack([push, -push], -2)[..., None, :]  # times j
    to_signal = (push * y[..., None, None, :] * (signal_patch > 0)).sum(-1, keepdim=True)
    to_noise = push * (on_noise > 0)
    return torch.cat([to_signal, to_noise], -1), margins
