"""Good calls of the wing of theory: see `good_arguments`."""

import numpy as np
from good_case import ANY_REAL, Case

from helpers import SignalNoise, descend


def theory():
    from helpers.data import SymmetricNoise
    from helpers.engine import (
        draw_mixture,
        final_weight_gram,
        inner_products,
        inner_products_of_record,
        mixture_problem,
    )
    from helpers.theory import (
        concentration_bounds,
        distance_from_limit,
        early_stopping_bound,
        elr_law,
        limit_law,
        limit_law_euler,
        linear_limit_constants,
        loss_decay_constants,
        no_noise_bounds,
        orthogonalise_products,
        simulate_concentration,
    )

    problem = SignalNoise(8, 40, n_snr2=4.0, flip_plus=0.2, flip_minus=0.2)
    products = inner_products(problem, 2, 0.1, 0)
    record = descend(problem, 2, 0.1, 0.1, 4, 0, n_test=10, record_at=range(5))
    of_record = inner_products_of_record(record)
    of = Case({"record": record})
    gram = final_weight_gram(record, of_record)
    clean = descend(SignalNoise(8, 400, n_snr2=4.0), 4, 0.01, 0.02, 60, 0, n_test=10, record_at=range(61))
    of_clean = inner_products_of_record(clean)[0]
    straight = orthogonalise_products(of_record[0], 40.0)
    bounds, simulated = concentration_bounds(problem, 2, 0.1, 0.1), simulate_concentration(problem, 2, 0.1, [0, 1])
    times, y, y_obs = np.array([0.5, 1.0, 2.0]), np.array([1, 1, -1, -1]), np.array([1, -1, -1, 1])
    law, scheme = limit_law(8.0, 0.1, times), limit_law_euler(8.0, 0.1, 0.1, 5)
    elr, decay = elr_law(8.0, 0.1, 3.0, 1.0, times), loss_decay_constants(record, of_record)
    mixture = mixture_problem(20, 40, 0.5, 0.2)
    draw, early = draw_mixture(mixture, 0.1, 0), early_stopping_bound(problem, products, 0.05, 5)
    far = distance_from_limit(problem, products, 0.2, 0.1)
    size = {"problem": problem, "m": 2, "init_std": 0.1, "delta": 0.1}
    both, moving = {"n_snr2": 8.0, "flip_rate": 0.1}, {"times": "zero", "flip_rate": "zero"}
    at = Case({"times": times, "s0": 0.1, "h": 0.01}, {name: "zero shape empty" for name in ("times", "s0", "h")})
    weighed = Case({"record": record, "weight_gram": gram})
    one_run = {"record": clean, "products": of_clean, "run": 0}
    none = {"run": "zero"}
    return {
        "ConcentrationDeviations.within": Case({"bounds": bounds}, on=bounds),
        "DistanceFromLimit.signal_bound": Case(at.arguments, at.allowed, on=far),
        "DistanceFromLimit.margin_bound": Case(at.arguments, at.allowed, on=far),
        "DistanceFromLimit.turned_by": Case({"law": scheme}, on=far),
        "EarlyStoppingBound.learned_scale": Case({"own": 0.5}, {"own": "zero"}, on=early),
        "EarlyStoppingBound.reused_exponent": Case({"ratio": 0.5}, on=early),
        "ElrLaw.reused_noise_error": Case({"flip_rate": 0.1}, {"flip_rate": "zero"}, on=elr),
        "LossDecay.bound": Case({"s": times}, {"s": "shape"}, on=decay),
        "LossDecay.time_to": Case({"loss": 0.1}, on=decay),
        "NoNoise.exponent_root": Case({"largest": times}, {"largest": "zero inf shape empty"},
                                      on=no_noise_bounds(clean, of_clean)),
        "active_share_law": Case({**both, "times": times, "scale": 0.5, "orthogonal": True},
                                 {"flip_rate": "zero", "scale": "zero"}),
        "active_share_scale": Case({"problem": problem, "init_std": 0.1}, {"init_std": "zero"}),
        "concentration_bounds": Case(size), "good_event": Case(size),
        "concentration_violations": Case({"simulated": simulated, "bounds": bounds}),
        "conditions": Case({**size, "lr": 0.1, "s1": 0.05, "eps": 0.01, "constant": 2.0}),
        "cross_talk_bounds": Case({"problem": problem.replace(d=10**5), "m": 2, "delta": 0.1}),
        "distance_from_limit": Case({"problem": problem, "products": products, "flip_rate": 0.2, "s1": 0.1},
                                    {"flip_rate": "zero"}),
        "early_stopping_bound": Case({"problem": problem, "products": products, "s1": 0.05, "steps": 5}),
        "early_stopping_error_bound": weighed, "early_stopping_exponents": weighed,
        "early_stopping_limit_exponent": Case({**both, "active_share": 0.5}, {"flip_rate": "zero",
                                                                              "active_share": "zero"}),
        "elr_certificate": Case({"law": elr, "k": 1, **both, "strength": 3.0, "memory": 1.0},
                                {"k": "zero", "flip_rate": "zero", "strength": "zero"}),
        "elr_dividing_margin": Case({"strength": 3.0}, {"strength": "zero"}),
        "elr_euler": Case({**both, "strength": 3.0, "momentum": 0.5, "h": 0.1, "steps": 3, "term": "kl", "clamp": 0.1},
                          dict.fromkeys(("flip_rate", "strength", "momentum", "clamp"), "zero")),
        "elr_last_noisy_margin": Case({**both, "strength": 0.5}, {"flip_rate": "zero"}),
        "elr_law": Case({**both, "strength": 3.0, "memory": 1.0, "times": times},
                        dict.fromkeys(("flip_rate", "strength", "memory"), "zero")),
        # The sizes of the three are broadcast, so that a number may become an array.
        "elr_pull": Case({"margin": 1.0, "target_margin": 0.5, "strength": 3.0},
                         {"margin": f"{ANY_REAL} shape empty", "target_margin": f"{ANY_REAL} shape empty",
                          "strength": "zero shape empty"}),
        "settled_elr_pull": Case({"margin": times, "strength": 3.0},
                                 {"margin": f"{ANY_REAL} shape empty", "strength": "zero shape"}),
        "elr_strength_needed": Case(both, {"flip_rate": "zero"}),
        "euler_distance_from_limit": Case({"n_snr2": 8.0, "h": 0.1, "times": times}, {"times": "zero shape empty"}),
        "fresh_error_bound": of, "noise_responses": of, "paper_lemma_deviations": of, "paper_lemma_margins": of,
        "reused_error_parts": of,
        "gaussian_fresh_error": Case({"record": record, "products": of_record}),
        "largest_init_std": Case({"problem": problem, "m": 2, "delta": 0.1, "constant": 2.0}),
        "late_ranking_auc": Case({"kappa": 2.0, "m": 5}),
        "late_ranking_losses": Case({"n_snr2": 8.0, "y": y, "y_obs": y_obs, "shares": np.full(4, 0.5)}),
        "leaky_relu_law": Case({**both, "leak": 0.1, "times": times}, {"flip_rate": "zero"}),
        "leaky_relu_threshold": Case({"leak": 0.1}, {"leak": "zero"}),
        "likely_linear_constants": Case({"problem": mixture_problem(10**4, 40, 0.5, 0.2), "radius": 0.1, "delta": 0.1,
                                         "target": 0.1}, {"radius": "zero"}),
        "limit_law": Case({**both, "times": times, "share": 0.5}, moving),
        "limit_law_euler": Case({**both, "h": 0.1, "steps": 3, "share": 0.5}, {"flip_rate": "zero"}),
        "limit_laws_of_both_classes": Case({"n_snr2": 8.0, "y": np.resize(y, 12), "y_obs": np.resize(y, 12),
                                            "law": lambda c, tau: limit_law(c, min(tau, 0.4), times)}),
        "limit_margins_of_samples": Case({"laws": law, "y": y, "y_obs": y_obs}),
        "linear_cover_probability": Case({"n": 5, "q": 3}, {"q": "zero"}),
        "linear_early_learning": Case({"constants": linear_limit_constants(0.01, 0.1, 0.2, 0.0)}),
        "linear_first_alignment": Case({"ratio": 0.5, "radius": 0.1, "noise_std": 0.5, "flip_rate": 0.2},
                                       {"radius": "zero", "flip_rate": "zero"}),
        "linear_law_of_run": Case({"draw": draw, "lr": 0.1, "steps": 3}),
        "linear_limit_constants": Case({"ratio": 0.5, "noise_std": 0.5, "flip_rate": 0.2, "radius": 0.1, "target": 0.1,
                                        "start": 0.1}, {"radius": "zero", "start": "zero"}),
        "linear_separability_threshold": Case({"noise_std": 0.5, "flip_rate": 0.2}, {"flip_rate": "zero"}),
        "loss_decay_constants": Case({"record": record, "products": of_record, "run": 0}, none),
        "measured_linear_constants": Case({"draw": draw, "target": 0.1}),
        "multiclass_law": Case({**both, "classes": 3, "times": times}, {"flip_rate": "zero"}),
        "multiclass_loss_levels": Case({"noise": SymmetricNoise(0.2), "classes": 3}),
        "multiclass_pair_law": Case({**both, "classes": 3, "times": times}),
        "multiclass_pair_lead": Case({**both, "classes": 3}, {"flip_rate": "zero"}),
        "no_noise_bounds": Case(one_run, none),
        "norm_concentration": Case({"n": 8, "d": 40, "delta": 0.1}),
        "orthogonal_products": Case({"counts": {(1, 1): 3, (1, -1): 1, (-1, -1): 3, (-1, 1): 1}, "m": 2, "n_snr2": 8.0,
                                     "size": 0.1, "seed": 0}, {"size": "zero", "seed": "zero huge"}),
        "orthogonal_sample": Case({"problem": problem, "seed": 0}, {"seed": "zero huge"}),
        "orthogonalise_products": Case({"products": products, "unit": 1.0}),
        "patch_variant_law": Case({**both, "strength": 2.0, "times": times}, {"flip_rate": "zero", "strength": "zero"}),
        "reused_error_bound": Case({"record": record, "products": of_record, "zetas": [0.5, 1.0]}, {"zetas": "zero"}),
        "signal_lead_barrier": Case({"record": record, "products": straight, "start": 1, "steps": 2, "run": 0},
                                    {"start": "zero", "steps": "zero", "run": "zero"}),
        "signal_noise_concentration": Case({"n": 8, "noise_std": 0.5, "mu_norm": 1.0, "delta": 0.1}),
        "signal_responses": Case({"record": record, "opposite": True}),
        "simulate_concentration": Case({"problem": problem, "m": 2, "init_std": 0.1, "seeds": [0, 1]},
                                       {"seeds": "zero"}),
        "squared_relu_drift": Case({"h": 0.1, "flip_rate": 0.2, "steps": 6, "samples": 5, "seed": 0},
                                   {"seed": "zero huge"}),
        "squared_relu_passage": Case({"rate": 1.0, "start": 0.1, "level": 1.0, "h": 0.1}),
        "squared_relu_threshold": Case({"n": 100, "flip_rate": 0.1, "start": 0.1, "level": 1.0, "h": 0.1},
                                       {"flip_rate": "zero", "h": "zero"}),
        "stage_one_bounds": Case({"problem": problem, "products": products, "s1": 0.05}),
    }
