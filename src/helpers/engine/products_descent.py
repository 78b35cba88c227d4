"""Gradient descent on given inner products, in the time of the limit law."""

from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Float

from helpers import checks
from helpers.engine.gram import InnerProducts
from helpers.engine.observables import readings_of
from helpers.engine.reduced import reduced_engine
from helpers.entry import entry

CPU = torch.device("cpu")


@dataclass(frozen=True, eq=False)
class ProductsCourse:
    """One run at T recorded times.

    Attributes
    ----------
    times
        s, in units of n m / (eta sigma^2 d) steps.
    margins
        y_obs f of each sample.
    gamma
        signal coefficients, index 0 for j = +1.
    rho
        mean of rho_{j,r,i} over the filters with j = y_obs_i.
    active
        share of those filters that are active on xi_i.
    reused_error
        error on reused noise with zeta = 0.
    """

    times: Float[np.ndarray, " T"]
    margins: Float[np.ndarray, "T n"]
    gamma: Float[np.ndarray, "T 2 m"]
    rho: Float[np.ndarray, "T n"]
    active: Float[np.ndarray, "T n"]
    reused_error: Float[np.ndarray, " T"]


@entry
def descend_products(products: InnerProducts, h: float, steps: int, *, unit: float = 1.0,
                     every: int = 1) -> ProductsCourse:
    """Gradient descent on given inner products, in the time of the limit law.

    Parameters
    ----------
    products
        the inner products of one draw.
    h
        the step in s, eta sigma^2 d / (n m).
    steps
        gradient steps.
    unit
        sigma^2 d of the draw.
    every
        record each `every`-th step.
    """
    steps, every, h = checks.integer("steps", steps, 0, 10**9), checks.integer("every", every), checks.positive("h", h)
    n, m = len(products.y), products.responses.shape[1]
    engine = reduced_engine([products], [h * n * m / checks.positive("unit", unit)], CPU, torch.float64)
    times, seen = range(0, steps + 1, every), []
    for step in times:
        engine.advance(step - engine.step)
        seen.append(readings_of(engine.state(), engine.y, engine.y_obs))
    names = [field.name for field in fields(ProductsCourse)][1:]
    return ProductsCourse(h * np.array(times), *(torch.stack([one[name][0] for one in seen]).numpy() for name in names))
