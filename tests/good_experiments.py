"""Good calls of the wing of experiments: see `good_arguments`. What trains does so on forty images, for an epoch."""

import numpy as np
from good_case import ANY_REAL, Case

from helpers import SignalNoise

FILES = "reads the files of a data set, which need not be there"


def experiments():
    from helpers.data import add_label_noise, load_digit_classes, load_digits
    from helpers.experiments import explained_run, image_run, setting
    from helpers.sweeps import load_table
    from helpers.theory import limit_law
    from helpers.training import Recipe, SmallCNN

    digits, ten = load_digits(n_train=40), load_digit_classes(n_train=60)
    noisy, recipe = add_label_noise(digits, 0.3, seed=0), Recipe(epochs=1, lr=0.1)
    record = image_run(noisy, 0, recipe=recipe)
    seen = explained_run(digits, 0.3, 0, per_group=2, n_background=2, recipe=recipe, width=2)
    elr, law = load_table("elr"), limit_law(8.0, 0.1, [0.5, 1.0])
    steps = load_table("elr_steps").table
    problem = SignalNoise(8, 40, n_snr2=4.0, flip_plus=0.2, flip_minus=0.2)
    runs = {"flip_rate": 0.2, "seed": 0}
    free = {"flip_rate": "zero", "rate": "zero", "flips": "zero", "seed": "zero", "seeds": "zero", "n_val": "zero",
            "init_scale": "zero", "init_stds": "", "chapter": "text empty", "count": "zero", "counts": "zero"}
    cifar10n = {"seed": 0, "n_train": 20, "side": 16, "width": 2, "epochs": 1, "lr": 0.1, "n_val": 5}

    def case(arguments, allowed=None, *, on=None, fails=""):
        """What the names that all experiments share allow, and what is said beside."""
        return Case(arguments, {name: words for name, words in free.items() if name in arguments} | (allowed or {}),
                    on=on, fails=fails)

    moment = {"moment": "last"}
    return {
        "ExplainedRun.predicted": case({**moment, "x": seen.x}, {"x": ANY_REAL}, on=seen),
        "ExplainedRun.margins": case(moment, on=seen),
        "ExplainedRun.moved": case({"before": "turn", "after": "last"}, on=seen),
        "ExplainedRun.maps_toward": case({**moment, "classes": seen.y}, {"classes": "zero"}, on=seen),
        "Setting": case({"name": "a network", "make": SmallCNN, "recipe": recipe, "width": 2, "n_val": 2,
                         "one_output": True}, {"name": "text"}),
        "Setting.network": case({"data": digits, "seed": 0}, on=setting("real_images", digits)),
        "attribution_cell": case({**runs, "data": "two classes", "n_train": 40, "per_group": 2, "n_background": 2,
                                  "deleted": 0.1, "network": "small", "width": 2, "recipe": recipe,
                                  "method": "occlusion"}),
        **{name: case({"table": load_table("own_data").table}) for name in ("compare_cleaning", "compare_flip_rates")},
        "compare_rankings": case({"table": load_table("own_data").table, "measure": "auc"}),
        "decision_table": case({name: load_table(table).table for name, table in (
            ("own", "own_data"), ("human", "own_human"), ("losses", "loss_distributions"), ("deep", "deep_networks"))}),
        "own_data_cell": case({"dataset": "wine, symmetric", "rate": 0.2, "seed": 0, "folds": 2, "n_digits": 100,
                               "epochs": 2}, fails="may take longer than a call has"),
        "own_human_cell": case({"kind": "worst", **cifar10n, "folds": 2, "epochs": 2}, {"n_val": ""}, fails=FILES),
        "chosen_steps": case({"steps": steps}),
        "cifar10n_cell": case({"kind": "worst", "keep": "image", **cifar10n}, {"n_val": ""}, fails=FILES),
        "compare_recorded_stops": case({"table": load_table("comparisons").table, "flip_rate": 0.2}),
        "comparison_cell": case({**runs, "n_train": 60, "n_val": 10, "folds": 2}, {"n_val": ""},
                                fails="may take longer than a call has"),
        "deep_cell": case({"network": "VGG", **runs, "flip_minus": 0.1, "n_train": 40, "n_val": 5, "size": "quick",
                           "init_scale": 1.0, "ten": True, "lr": 0.01, "threads": 1, "precision": "float32"},
                          {"flip_minus": "zero"}),
        "deep_class_mean": case({"record": record, "values": record.margins, "label": 1, "which": "noisy"},
                                {"values": ANY_REAL, "label": "negative"}),
        "deep_measured_three_ways": case({"data": digits, "network": "VGG", "noise": 0.2, "seeds": [0]},
                                         {"noise": "zero"}),
        "deep_run": case({"data": noisy, "network": "VGG", "seed": 0, "init_scale": 1.0, "size": "quick",
                          "model": SmallCNN(digits.image_shape, width=2, n_outputs=2), "n_val": 5,
                          "watch": lambda epoch, model: None, "log_training": False, "threads": 1,
                          "precision": "float32"}),
        "deep_runs": case({"data": digits, "network": "VGG", "noise": 0.2, "seeds": [0]}, {"noise": "zero"}),
        "deep_step_cell": case({"network": "VGG", "flip_rate": 0.2, "lr": 0.01, "seed": 0, "n_train": 40, "n_val": 5,
                                "size": "quick", "precision": "float32"}, {"n_val": ""}),
        "deep_ten_way": case({"data": digits}),
        "elr_cell": case({"loss": "ELR", "noise": "symmetric 0.4", "seed": 0, "n_train": 40, "side": 8, "width": 2,
                          "epochs": 1, "augment": True, "lr": 0.1, "precision": "float32"}),
        "elr_run_label_shares": case({"record": record, "which": "noisy"}),
        "elr_runs": case({"data": ten, "rate": 0.2, "loss": "ELR", "seeds": [0], "n_val": 5}),
        "elr_scale": case({"recorded": elr.table, "made": elr.made, "data": ten, "n_val": 5}),
        "explained_group_means": case({"runs": [seen], "values": lambda run: run.y}),
        "explained_run": case({"data": digits, **runs, "per_group": 2, "n_background": 2, "recipe": recipe, "width": 2,
                               "record_at": np.array([0, 1]), "method": "occlusion", "network": "small",
                               "fresh": False}),
        "human_count_cell": case({"labels": "worst", "draws": 2, "flows": 2}, fails=FILES),
        "human_loss_cell": case({"kind": "worst", "loss": "ELR", **cifar10n}, {"n_val": ""}, fails=FILES),
        "human_noise_run": case({"data": noisy, "seed": 0, "width": 2, "recipe": recipe, "n_val": 5}, {"n_val": ""}),
        "human_noise_summary": case({"record": record}),
        "human_step_cell": case({"kind": "worst", "loss": "ELR", **cifar10n}, {"n_val": ""}, fails=FILES),
        "image_mistakes": case({"data": digits, "flip_rate": 0.2, "seeds": [0], "n_val": 5}),
        "image_run": case({"data": noisy, "seed": 0, "recipe": recipe, "n_val": 5, "record_at": np.array([0, 1]),
                           "watch": lambda epoch, model: None}),
        "image_run_and_mistakes": case({"data": noisy, "seed": 0, "n_val": 5, "record_at": np.array([0, 1])}),
        "image_runs": case({"data": digits, "flip_rate": 0.2, "seeds": [0], "n_val": 5}),
        "initial_scale_runs": case({"problem": problem, "init_stds": [0.01, 0.1], "m": 2, "h": 0.1,
                                    "times": [0.2, 0.4], "seeds": [0, 1]}),
        "loss_cell": case({"dataset": "ten digits", "kind": "pair", "rate": 0.2, "seed": 0, "n_train": 40, "n_test": 0,
                           "epochs": 1, "lr": 0.1, "precision": "float32"},
                          dict.fromkeys(("n_train", "n_test", "epochs"), "zero")),
        "loss_runs": case({"data": digits, "noise": 0.2, "seeds": [0], "n_val": 5}, {"noise": "zero"}),
        "phase_cell": case({"n_snr2": 4.0, "flip_rate": 0.2, "d_over_n": 10, "n": 8, "m": 2, "runs": 2, "s_end": 1.0},
                           {"d_over_n": "fraction"}),
        "phase_clean_patch_border": case({"n_snr2": 4.0, "s_end": 1.0}),
        "phase_signal_to_noise": case({"law": law}),
        "scale_table": case({"paper": "han2025role", "settings": setting("real_images", digits), "data": digits,
                             "seeds": range(2), "recorded": (), "chapter": "14"}, {"recorded": "empty"}),
        "setting": case({"experiment": "deep_networks", "data": digits, "network": "VGG", "size": "quick"}),
        "step_cell": case({"dataset": "ten digits", "kind": "pair", "rate": 0.2, "lr": 0.1, "n_train": 40, "epochs": 1,
                           "precision": "float32", "seed": 0}),
        "survival": case({"run": seen, **moment, "counts": [1, 2], "order": "random", "keep": True}),
        "synthetic_lemmas_over_d": case({"dims": [200], "seeds": [0]}),
        "synthetic_problem": case({"d": 200, "flips": 0.1}),
        "synthetic_run": case({"seeds": [0], "m": 2, "d": 200, "flips": 0.1, "init_scale": 1.0, "lr": 0.1, "zeta": 1.0,
                               "steps": 3}, {"zeta": "zero"}),
        "transplants": case({"run": seen, **moment, "count": 2, "order": "random", "donors": seen.group == "test"}),
    }
