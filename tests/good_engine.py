"""Good calls of the wing of engines: see `good_arguments`."""

import numpy as np
import torch
from good_case import ANY_REAL, Case

from helpers import SignalNoise, TwoLayerCNN, descend
from helpers.streams import random_stream


def engine():
    from helpers.data import SymmetricNoise
    from helpers.engine import (
        CompiledReducedEngine,
        ExplicitEngine,
        TorchReducedEngine,
        Variant,
        VariantEngine,
        descend_mixture,
        draw_mixture,
        inner_products,
        inner_products_of_record,
        mixture_problem,
        two_class_scene,
    )

    problem = SignalNoise(8, 40, n_snr2=4.0, flip_plus=0.2, flip_minus=0.2)
    sample, products = problem.sample(0), inner_products(problem, 2, 0.1, 0)
    record = descend(problem, 2, 0.1, 0.1, 4, 0, n_test=10)
    cpu = {"device": torch.device("cpu"), "dtype": torch.float64}
    kept = {"products": [products], "lr": [0.1], **cpu}
    of_products = Case(kept)
    of_samples = {"samples": [sample], "m": 2, "init_std": [0.1], "lr": [0.1], "seeds": [0], **cpu}
    scene, method = two_class_scene(problem, 2, 0.1, 0), Variant()
    driver = VariantEngine([scene], [0.1], method)
    weight = TwoLayerCNN(40, 2, 0.1, 0).weight.detach()
    draw = draw_mixture(mixture_problem(20, 40, 0.5, 0.2), 0.1, 0)
    course = descend_mixture(draw, 0.1, [1, 2])
    size, free = {"m": 2, "init_std": 0.1, "seed": 0}, {"init_std": "zero", "seed": "zero huge"}
    run = CompiledReducedEngine(**kept)
    state = run.state()
    shares = torch.tensor([[0.2, 0.9], [0.8, 0.1]], dtype=torch.float64)
    mean = Case({"which": "noisy"}, on=course)
    steps = Case({"steps": 1}, {"steps": "zero"}, on=run)
    bytes_needed = {"n": 8, "m": 2, "n_test": 5, "given_tests": 0}
    none_tested = {"n_test": "zero", "given_tests": "zero"}
    return {
        "CompiledReducedEngine": of_products, "ReducedEngine": of_products, "TorchReducedEngine": of_products,
        "CompiledReducedEngine.advance": steps,
        "TorchReducedEngine.advance": Case(steps.arguments, steps.allowed, on=TorchReducedEngine(**kept)),
        "ReducedEngine.bytes_per_run": Case(bytes_needed, none_tested, on=CompiledReducedEngine),
        "ExplicitEngine": Case(of_samples, {"init_std": "zero", "seeds": "zero"}),
        "ExplicitEngine.advance": Case(steps.arguments, steps.allowed, on=ExplicitEngine(**of_samples)),
        "ExplicitEngine.bytes_per_run": Case(bytes_needed | {"d": 40}, none_tested, on=ExplicitEngine),
        "Decomposition": Case({"sample": sample}),
        "MixtureCourse.mean_over": Case({"values": course.margins, "which": "clean"}, {"values": ANY_REAL}, on=course),
        "MixtureCourse.read_truly": mean, "MixtureCourse.memorised": mean,
        "TwoLayerCNN": Case({"d": 5, **size}, free),
        "Variant": Case({"activation": "relu", "leak": 0.1, "batch_size": 4, "batches": "independent",
                         "flip_rate": 0.1, "strength": 1.0, "term": "kl", "momentum": 0.5, "clamp": 0.1},
                        dict.fromkeys(("leak", "flip_rate", "strength", "momentum", "clamp"), "zero")),
        # Of each number of a tensor, whatever its shape.
        "Variant.phi": Case({"z": weight}, {"z": f"{ANY_REAL} nan inf -inf shape empty complex"}, on=method),
        "Variant.slope": Case({"z": weight}, {"z": f"{ANY_REAL} nan inf -inf shape empty complex"}, on=method),
        "VariantEngine": Case({"scenes": [scene], "rates": [0.1], "method": method}),
        "VariantEngine.logits": Case({"outputs": driver.outputs(), "patches": driver.patches},
                                     {"outputs": ANY_REAL, "patches": "zero"}, on=driver),
        "bartlett_gram_factor": Case({"rng": random_stream(0, "x"), "size": 3, "degrees": 5},
                                     {"size": "zero", "degrees": "zero"}),
        "contrary_scene": Case({"scene": scene, "share": 0.5, "weight": 1.0, "seed": 0},
                               {"share": "zero", "seed": "zero huge"}),
        "decompose": Case({"weight": weight, "weight_init": weight, "sample": sample}),
        "decomposition_steps": Case(
            {"responses": state.responses, "y": run.y, "y_obs": run.y_obs, "rate": 0.1},
            {"responses": f"{ANY_REAL} nan inf -inf", "rate": "zero"}),
        "descend": Case(
            {"problem": problem, "m": 2, "init_std": 0.1, "lr": 0.1, "steps": 3, "seeds": 0, "engine": "reduced",
             "record_at": np.array([0, 3]), "device": "cpu", "dtype": torch.float64, "n_test": 5, "n_val": 5,
             "zeta": 0.1, "memory": 10**9, "progress": False},
            {"init_std": "zero shape", "lr": "shape", "seeds": "zero huge shape", "n_val": "zero", "zeta": "zero",
             "memory": "huge", "progress": "number empty bytes text complex object None"}),
        "descend_mixture": Case({"draw": draw, "lr": 0.1, "times": np.array([1, 2])}),
        "descend_products": Case({"products": products, "h": 0.1, "steps": 3, "unit": 40.0, "every": 2},
                                 {"steps": "zero"}),
        "descend_variant": Case({"scenes": [scene], "lr": 0.1, "steps": 2, "record_at": np.array([0, 2]), "n_test": 5},
                                {"lr": "shape", "n_test": "zero"}),
        "draw_mixture": Case({"problem": mixture_problem(20, 40, 0.5, 0.2), "radius": 0.1, "seed": 0},
                             {"radius": "zero", "seed": "zero huge"}),
        "elr_term_slope": Case({"p": shares, "missing": shares, "term": "elr", "clamp": 0.1},
                               {"missing": "zero", "p": "zero", "clamp": "zero"}),
        "elr_term_targets": Case({"p": shares, "missing": shares, "momentum": 0.5, "clamp": 0.1},
                                 {"missing": "zero", "p": "zero", "clamp": "zero", "momentum": "zero"}),
        "final_weight_gram": Case({"record": record, "products": inner_products_of_record(record)}),
        "inner_products": Case({"problem": problem, **size}, free),
        "inner_products_of_record": Case({"record": record}),
        "mixture_problem": Case({"n": 20, "p": 40, "noise_std": 0.5, "flip_rate": 0.2}, {"flip_rate": "zero"}),
        "noisy_scene": Case({"problem": problem, "noise": SymmetricNoise(0.2), "classes": 3, **size}, free),
        "observable_readings": Case({"state": state, "y": run.y, "y_obs": run.y_obs}),
        "patch_dependent_scene": Case({"problem": problem, **size}, free),
        "recurring_patch_scene": Case({"problem": problem, "strength": 2.0, "flips": "patch", **size}, free),
        "separable_mixture": Case({"vectors": draw.signed}, {"vectors": ANY_REAL}),
        "separate_positions_scene": Case({"problem": problem, **size}, free),
        "several_class_scene": Case({"problem": problem, "classes": 3, **size}, free),
        "two_class_scene": Case({"problem": problem, **size}, free),
    }
