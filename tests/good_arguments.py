"""One good call of each public entry, small and fast, and what else may stand in an argument's place.

The type of an argument says whether None may. Beyond that nothing may that `bad_values` tries, unless `allowed` says so
here: "seed": "zero huge" means that 0 and an integer of 401 digits are right seeds.
"""

import functools
from collections.abc import Callable

import numpy as np
from good_case import ANY_PLACE, ANY_REAL, Case
from good_data import data
from good_engine import engine
from good_experiments import experiments
from good_practice import practice
from good_theory import theory
from good_training import training

from helpers import Record, SignalNoise
from helpers.record import SHAPES, TEST_ERRORS


@functools.cache
def good_arguments(wing: str) -> dict[str, Case]:
    """The cases of a wing, by the entry's name; made when they are first asked for."""
    return CASES[wing]()


def small_record():
    """Two runs of four samples, of which each has a noisy one, at five times; with test errors."""
    y = np.array([[1, 1, -1, -1], [1, -1, 1, -1]])
    margins = np.array([[[.1, -.1, .1, .1], [1, .5, -.5, 1], [2, 1, 3, .5], [2, 2, 3, 1], [3, 2, 3, 2]]] * 2)
    error = np.array([[.5, .1, .2, .2, .3], [.5, .2, .1, .2, .3]])
    sizes = dict.fromkeys(("fresh", "reused", "observed", "validation", "validation_observed"), 10)
    return Record(np.array([0, 1, 3, 4, 6]), y, np.where(np.arange(4) == 2, -y, y), margins, fresh_error=error,
                  reused_error=error, observed_error=error, validation_error=error, validation_observed_error=error,
                  test_sizes=sizes, runs=[{"seed": 0}, {"seed": 1}], config={"m": 3})


def whole_record(record):
    """The fields of `record`, and numbers in those that it has not."""
    sizes = {"runs": 2, "T": 5, "n": 4, "m": 3, "2": 2}
    return {name: np.ones([sizes[axis] for axis in axes.split()]) if getattr(record, name) is None
            else getattr(record, name) for name, axes in SHAPES.items()} | {
                name: getattr(record, name) for name in ("test_sizes", "runs", "config")}


def hall():
    import matplotlib.pyplot as plt

    record, numbers = small_record(), np.array([1.0, 2.0, 4.0])
    axes = plt.figure().subplots()
    rows = np.array([numbers, numbers + 1])
    return {
        "fetch_file": Case({"url": "https://localhost:1/x", "sha256": "0" * 64, "path": "no/such", "progress": False,
                            "timeout": 0.01}, {"path": "text"}, fails="nothing is downloaded in tests"),
        "alone": Case({"path": "a.lock"}, {"path": "text"}),
        "temporary_beside": Case({"path": "a.bin"}, {"path": "text"}),
        "write_atomically": Case({"path": "a.bin", "content": b"12"}, {"path": "text", "content": "bytes empty"}),
        "remove_leftovers": Case({"folder": "results", "older": 60.0}, {"folder": "text", "older": "zero"}),
        "t_interval": Case({"values": numbers, "level": 0.9}, {"values": ANY_REAL}),
        "mean_and_interval": Case({"values": numbers}, {"values": ANY_REAL}),
        "share_interval": Case({"count": 3, "size": 10, "level": 0.9}, {"count": "zero empty shape",
                                                                        "size": "empty shape"}),
        "slope_and_standard_error": Case({"x": numbers, "y": numbers**2}),
        "plot_stack": Case({"rows": 2}),
        "plot_band": Case({"x": numbers, "runs": rows, "role": "clean", "label": "runs", "ax": axes,
                           "quantiles": (0.1, 0.9)},
                          {"x": ANY_REAL, "runs": f"{ANY_REAL} nan inf -inf empty", "label": "text empty",
                           "quantiles": "zero"}),
        "plot_theory_line": Case({"x": numbers, "y": numbers, "label": "law", "ax": axes},
                                 {"x": ANY_REAL, "y": f"{ANY_REAL} nan inf -inf", "label": "text empty"}),
        "plot_mark": Case({"value": 0.5, "label": "here", "axis": "y", "ax": axes},
                          {"value": ANY_REAL, "label": "text empty"}),
        "plot_plane": Case({"n_snr2": 4.0, "flip_rate": 0.1, "ax": axes, "bounds": (0.1, 0.1, 0.3, 0.3),
                            "largest": 30.0}, {"flip_rate": "zero"}),
        # Beside labels, margins and errors a record keeps what a run gave, be it finite or not.
        "Record": Case(whole_record(record),
                       dict.fromkeys(whole_record(record), f"{ANY_REAL} nan inf -inf")
                       | dict.fromkeys((f"{which}_error" for which in TEST_ERRORS), "nan zero")
                       | {"times": "", "margins": ANY_REAL, "y": "zero", "y_obs": "zero", "test_sizes": "empty",
                          "runs": "empty", "config": "empty"}),
        "Record.mean_over": Case({"values": record.margins, "which": "noisy"}, {"values": f"{ANY_REAL} nan inf -inf"},
                                 on=record),
        "Record.interval": Case({"which": "fresh", "level": 0.9}, on=record),
        "Record.to_frame": Case({"per": "sample"}, on=record),
        "Record.save": Case({"path": "record.npz"}, {"path": "text"}, on=record),
        "Record.load": Case({"path": "record.npz"}, on=Record),
        "concatenate_records": Case({"records": [record, record]}),
        "log_times": Case({"steps": 100, "count": 5}, {"steps": "zero"}),
        "is_module": Case({"name": "streams"}, {"name": "text empty"}),
        "source_hash": Case({"module": "streams"}),
        "code_fingerprints": Case({"module": "streams"}),
        "random_stream": Case({"seed": 1, "stream": "draws"}, {"seed": "zero huge", "stream": "text empty"}),
    }


def reading():
    """Beside each mask stand 0 and 1 in place of False and True: "zero"."""
    import pandas as pd
    import torch

    from helpers import descend
    from helpers.reading import BLIND, CE_LAST, CE_STOPPED, IN_SAMPLE, OUT_OF_SAMPLE, STOPPED, TO_THE_END, Stop

    record, numbers = small_record(), np.array([1.0, 2.0, 4.0])
    run = descend(SignalNoise(8, 40, n_snr2=4.0, flip_plus=0.4, flip_minus=0.4, balanced=True), 2, 0.1, 0.1, 4, [1, 2])
    assert run.flipped.any(1).all() and BLIND
    of = Case({"record": record})
    rows = np.array([[0.5, 0.1, 0.2], [0.5, 0.2, 0.1], [0.4, 0.2, 0.3]])
    mask, losses = np.array([True, False, True, False]), np.array([0.1, 0.2, 0.9, 1.5])
    probabilities, labels = np.array([[0.8, 0.2], [0.3, 0.7], [0.6, 0.4], [0.1, 0.9]]), np.array([0, 1, 1, 1])
    confident = Case({"probabilities": probabilities, "labels": labels}, {"probabilities": "zero"})
    table = pd.DataFrame({"n_snr2": [1, 2, 1, 2.0], "flip_rate": [0.1, 0.1, 0.2, 0.2], "share": [0.1, 0.9, 0.2, 0.8],
                          "share ±": [0.1] * 4})
    errors = lambda *names: {name: numbers + k for k, name in enumerate(names)}  # noqa: E731
    maps, pixels = np.arange(1.0, 9).reshape(2, 2, 2), torch.linspace(0, 1, 32).reshape(2, 1, 4, 4)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2))
    order, chosen = np.arange(8).reshape(2, 4), np.arange(32).reshape(2, 16) < 12
    whole_map = Case({"maps": maps}, {"maps": f"{ANY_REAL} shape"})
    return {
        "AttributionScore": Case({"model": model}),
        "Stop": Case({"name": "a rule", "chosen": np.array([1, 1, 2]), "clean_labels": 3, "noisy_labels": 3,
                      "knows_rate": True, "error": rows, "times": np.array([0, 1, 2])},
                     {"name": "text", "chosen": "zero", "clean_labels": "zero", "noisy_labels": "zero",
                      "error": ANY_REAL, "times": f"{ANY_REAL} nan inf -inf"}),
        "adjusted_confidence_scores": confident, "score_confident_joint": confident,
        "score_confident_learning": confident, "self_confidence_scores": confident,
        "area_under_margin_scores": Case({"record": record, "until": np.array([1, 4])}, {"until": "zero"}),
        "assess_selection": Case({"record": record, "rules": {"a rule": lambda losses: losses < 0.7}}),
        "attribution_blocks": Case({"image_shape": (1, 4, 4), "side": 2}),
        "attribution_controls": Case({"values": numbers, "among": numbers}, {"values": f"{ANY_REAL} empty",
                                                                             "among": ANY_REAL}),
        "attribution_effective_share": whole_map, "attribution_net_share": whole_map, "rank_pixels": whole_map,
        "attribution_maps": Case(
            {"model": model, "x": pixels, "background": pixels[:1], "classes": np.array([0, 1]), "method": "occlusion",
             "side": 2, "steps": 2, "draws": 2, "seed": 0},
            {"x": ANY_REAL, "background": ANY_REAL, "classes": "zero", "seed": "zero huge"}),
        "attribution_share_inside": Case({"maps": maps, "inside": maps > 2}, {"maps": ANY_REAL}),
        "attribution_turn": Case({"before": maps, "after": maps[::-1], "kind": "place"},
                                 {"before": ANY_REAL, "after": ANY_REAL}),
        "best_selection_quality": Case({"flip_share": 0.2, "drop_share": 0.3}, {"flip_share": "zero empty shape",
                                                                               "drop_share": "zero empty shape"}),
        "binned_tv_distance": Case({"clean": numbers, "noisy": numbers + 1, "edges": numbers},
                                   dict.fromkeys(("clean", "noisy", "edges"), ANY_REAL)),
        "blend_top_pixels": Case({"x": pixels, "others": pixels[:1], "chosen": chosen},
                                 {"x": ANY_REAL, "others": ANY_REAL}),
        "blind": Case({"error": rows, "groups": ["a", "b", "c"]}, {"error": ANY_REAL}),
        "coalition_worths": Case({"f": lambda x: x.sum((1, 2)), "x": pixels[0, 0], "background": pixels[:, 0],
                                  "groups": np.arange(16).reshape(4, 4) % 2},
                                 {"x": ANY_REAL, "background": ANY_REAL, "groups": "zero"}),
        "coefficient_overtaking": Case({"record": run}), "largest_coefficients": Case({"record": run}),
        "rescaled_times": Case({"record": run}),
        "compare_losses": Case({"errors": errors(CE_LAST, CE_STOPPED, "cross-entropy with mixup", "ELR"),
                                "ingredients": ["mixup"]}, {"ingredients": "empty"}),
        "compare_retraining": Case({"errors": errors(TO_THE_END, STOPPED, "a rule")}),
        "compare_scores": Case({"values": errors(IN_SAMPLE, *OUT_OF_SAMPLE)}),
        "compare_steps": Case({"errors": errors(TO_THE_END, STOPPED, "a rule")}),
        "compare_stops": Case({"error": rows, "times": np.array([0, 1, 2]), "rules": [Stop("a", np.array([1, 1, 2]))],
                               "units": ["a", "b", "c"], "groups": ["a", "b", "c"]},
                              {"error": ANY_REAL, "times": ANY_REAL, "rules": "empty"}),
        "crest_time_index": of, "loss_distances_over_time": of, "observed_accuracies": of, "selection_auc": of,
        "selection_purity_gain": of, "stop_at_clearest_split": of, "stop_at_deepest_misfit": of,
        "stop_at_widest_losses": of, "turning_time_index": of, "turning_times": of,
        "crossing_boundary": Case({"table": table, "quantity": "share", "level": 0.5, "along": "n_snr2",
                                   "by": "flip_rate"}, {"level": ANY_REAL}),
        "first_passage_time": Case({"times": np.array([0, 1, 2]), "values": rows, "level": 0.3},
                                   {"values": ANY_REAL, "level": ANY_REAL}),
        "half_crossing": Case({"parameter": numbers, "shares": rows, "resamples": 5, "seed": 0},
                              {"shares": "zero", "seed": "zero huge"}),
        "never": Case({"error": rows}, {"error": ANY_REAL}),
        "paired_difference": Case({"a": numbers, "b": numbers}, {"a": ANY_REAL, "b": ANY_REAL}),
        "paired_difference_over_images": Case({"wrong_a": np.array([mask] * 2), "wrong_b": np.array([~mask] * 2),
                                               "seed": 0}, {"seed": "zero huge"}),
        "score_auc": Case({"trust": np.array([losses]), "flipped": np.array([mask])}, {"trust": ANY_REAL}),
        "select_below_log2": Case({"losses": losses}, {"losses": ANY_PLACE}),
        "select_by_mixture": Case({"losses": losses, "seed": 0, "log": True}, {"losses": "shape", "seed": "zero"}),
        "select_small_loss": Case({"losses": losses, "keep_share": 0.5}, {"losses": f"{ANY_REAL} shape",
                                                                         "keep_share": "zero"}),
        "selection_gap_and_spread": Case({"losses": np.array([losses]), "flipped": np.array([mask])}),
        "selection_quality": Case({"kept": mask, "flipped": mask}, dict.fromkeys(("kept", "flipped"), "shape")),
        "shapley_values": Case({"values": np.array([0.0, 1, 2, 4])}, {"values": f"{ANY_REAL} shape"}),
        "stop_at_first_lull": Case({"record": record, "window": 1}),
        "stop_at_lowest": Case({"values": rows, "tie": "middle"}, {"values": f"{ANY_REAL} inf -inf"}),
        "stop_at_plateau": Case({"record": record, "flip_rate": 0.2}, {"flip_rate": "zero"}),
        "stop_by_clean_validation": Case({"record": record, "tie": "last"}),
        "stop_by_noisy_validation": Case({"record": record, "tie": "last"}),
        "stopping_regret": Case({"error": rows, "chosen": np.array([0, 1, 2])},
                                {"error": f"{ANY_REAL} nan inf -inf", "chosen": "zero"}),
        "stopping_validation_size": Case({"flip_rate": 0.1, "gap": 0.1, "candidates": 5, "delta": 0.1},
                                         {"flip_rate": "zero"}),
        "stops_to_compare": Case({"record": record, "flip_rate": 0.2, "held_out": record, "error": "fresh",
                                  "times": np.array([0, 1, 3, 4, 6])}, {"flip_rate": "zero", "times": ANY_REAL}),
        "top_pixels": Case({"order": order % 4, "count": 2}, {"count": "zero"}),
        "values_at_stop": Case({"values": rows, "chosen": np.array([0, 1, 2])},
                               {"values": f"{ANY_REAL} nan inf -inf", "chosen": "zero"}),
        "verdict_table": Case({"claims": {"it saves": ((1.0, 1.5), "above", 0.0)}}),
        "with_intervals": Case({"table": table, "digits": 2}, {"digits": "zero"}),
    }


def sweeps():
    """A damaged store or table is another matter, of the tests of this wing."""
    from cells import one

    from helpers.sweeps import Table, TablePlan, load_table

    recorded = load_table("loss_distributions")
    first = recorded.table[["kind", "rate", "dataset"]].iloc[0].to_dict()
    chosen = recorded.table[(recorded.table[list(first)] == first).all(axis=1)]
    plan = TablePlan(one, {"x": [1, 2]}, "A sum")
    assert isinstance(recorded, Table)
    return {
        "Table.curves": Case({"column": "ks", "time": "epoch", "run": "seed"},
                             on=Table(recorded.name, chosen, recorded.made)),
        "TablePlan": Case({"function": one, "grid": {"x": [1, 2]}, "about": "A sum", "at_a_time": 5,
                           "reads": ("SIGNAL_FIRST_CIFAR10",), "probe": {"x": 1}},
                          {"about": "text empty", "reads": "empty", "probe": "empty"}),
        "load_table": Case({"name": "phase_flips"}),
        "make_table": Case({"name": "made", "plan": plan, "results": "results", "store": "store", "workers": 1,
                            "deadline": float("inf"), "files": {}, "note": "a note", "commit": "abc"},
                           {**dict.fromkeys(("name", "results", "store"), "text"),
                            "deadline": "inf -inf zero huge negative", "files": "empty", "note": "text empty",
                            "commit": "text empty"}),
        "stored_cells": Case({"store": "store"}, {"store": "text"}),
        "sweep": Case({"function": one, "grid": {"x": [1, 2]}, "executor": None, "store": "store", "progress": False,
                       "damaged": "recompute"}, {"store": "text"}),
        "table_fault": Case({"name": "phase_flips", "plan": plan, "results": "results"},
                            {"name": "text empty", "results": "text"}),
        "table_files_read": Case({"plan": plan}),
    }


CASES: dict[str, Callable[[], dict[str, Case]]] = {
    "hall": hall, "reading": reading, "theory": theory, "engine": engine, "sweeps": sweeps,
    "experiments": experiments, "data": data, "practice": practice, "training": training}
