"""Runs and laws in the form that the laboratory page's engine takes (book/assets/laboratory.js), as JSON.

The page draws its own data. Here a run of the Python engine, with the draws it started from, is written down, so that
the engine in the browser can be started from the same draws and its results be compared with these.
"""

import json

import numpy as np
import torch

from helpers import checks
from helpers.data.signal_noise import SignalNoise
from helpers.engine.descent import descend
from helpers.engine.gram import inner_products
from helpers.engine.observables import draw_observables
from helpers.theory.limit import limit_law

COMPARED = ("margins", "gamma", "rho", "rho_cross", "fresh_error", "reused_error")


def exported_run(problem, m, init_std, lr, steps, seed, record_at=None, n_test=300):
    """One run of `descend` as JSON text: {"start": ..., "times": ..., "results": ..., "final": ...}.

    Parameters are those of `descend`, of a single run on a SignalNoise with noise_std = 1 and noise that is not made
    orthogonal to the signal, as on the page. Raises ValueError on anything else.

    start : what `createRun` in the page takes: n, m, h and rate = lr / (n m), labels y and yObs, and row by row gram
        (n + 1, n + 1), responses (2m, n + 1), weightGram (2m, 2m); yTest and normals (2m, n_test) of the fresh error.
    times, results : the recorded steps, and at each of them the entries COMPARED of the Record, flattened.
    final : every gamma (2, m) and rho (2, m, n) at the last of them, flattened.
    """
    checks.instance("problem", problem, SignalNoise)
    checks.require(not problem.orthogonal, "problem.orthogonal", problem.orthogonal, "False")
    checks.require(problem.noise_std == 1.0, "problem.noise_std", problem.noise_std, "1.0")
    seed, lr = checks.integer("seed", seed, 0), checks.positive("lr", lr)
    record = descend(problem, m, init_std, lr, steps, seed, record_at=record_at, n_test=n_test)
    draws = draw_observables([problem], [seed], m, n_test, 0, 0.0, "cpu", torch.float64)
    start = _start(inner_products(problem, m, init_std, seed), m, lr, problem)
    start |= {"yTest": _flat(draws.y), "normals": _flat(draws.normals)}
    results = {name: [_flat(entry) for entry in getattr(record, name)[0]] for name in COMPARED}
    final = {"gamma": _flat(record.gamma_final), "rho": _flat(record.rho_final)}
    return json.dumps({"start": start, "times": record.times.tolist(), "results": results, "final": final})


def exported_law(n_snr2, flip_rate, times):
    """The limit law at `times` as JSON text, under the names that `limitLaw` in the page gives its parts."""
    law = limit_law(n_snr2, flip_rate, times)
    parts = {"cleanMargin": law.clean_margin, "noisyMargin": law.noisy_margin, "signal": law.signal,
             "rClean": law.r_clean, "rNoisy": law.r_noisy, "reusedError": law.reused_noise_error}
    numbers = {"stageOne": law.stage_one_exists, "kappa": law.kappa, "gap": law.late_margin_gap,
               "memorisation": law.memorisation_time}
    return json.dumps({"c": law.n_snr2, "tau": law.flip_rate, "times": law.times.tolist(),
                       "law": {name: _flat(part) for name, part in parts.items()}, "numbers": numbers})


def _start(products, m, lr, problem):
    h = lr * problem.d / (problem.n * m)
    return {"n": problem.n, "m": m, "h": h, "rate": lr / (problem.n * m), "y": _flat(products.y),
            "yObs": _flat(products.y_obs), "gram": _flat(products.gram), "responses": _flat(products.responses),
            "weightGram": _flat(products.weight_gram)}


def _flat(values):
    return np.asarray(values, float).ravel().tolist()
