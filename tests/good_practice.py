"""Good calls of the wing of practice: see `good_arguments`. They write into a folder of their own."""

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from good_case import ANY_REAL, Case
from good_training import small

FOLDER = tempfile.TemporaryDirectory()  # as long as the process
SEED = {"seed": "zero huge"}


def practice():
    return folders() | tables() | pools()


def data_and_record():
    from helpers.data import add_label_noise, load_digits
    from helpers.training import Recipe, fit

    data = add_label_noise(load_digits(n_train=40), 0.2, seed=0)
    recipe = Recipe(epochs=1, batch_size=10)
    return data, recipe, fit(small(data, 0), data, recipe, 0, n_val=10)


def folders():
    from helpers.practice import example_folder

    root = Path(FOLDER.name)
    truth = example_folder(root / "digits", n=100)
    changes = truth[:1].assign(decision="drop", label="")
    return {
        "check_target": Case({"target": root / "new", "source": root / "digits", "overwrite": False},
                             dict.fromkeys(("target", "source"), "text")),
        "example_folder": Case({"path": root / "example", "kind": "pair", "rate": 0.1, "n": 100, "seed": 0},
                               SEED | {"path": "text", "rate": "zero"}),
        "write_cleaned_folder": Case({"source": root / "digits", "changes": changes, "target": root / "cleaned",
                                      "overwrite": True}, {"target": "text"}),
    }


def tables():
    data, recipe, record = data_and_record()
    root, index = Path(FOLDER.name), (data.y_obs > 0).astype(int)
    names = [data.classes[k] for k in index]
    ranked = pd.DataFrame({"sample": np.arange(40), "observed": names, "suggested": names[::-1],
                           "score": np.linspace(1, 0, 40)})
    decided = root / "decisions.csv"
    decided.write_text(f"sample,file,observed,decision,label\n3,,{names[3]},keep,\n")
    estimates = pd.DataFrame({"method": ["a"], "low": [0.1]})
    p = 0.8 * np.eye(2)[index] + 0.1
    return {
        "cautious_count": Case({"estimates": estimates, "n": 40}),
        "clean_labels": Case({"data": data, "table": ranked, "drop": 1, "relabel": 1},
                             dict.fromkeys(("drop", "relabel"), "zero")),
        "find_suspects": Case({"data": data, "make_network": small, "recipe": recipe, "n_val": 5, "seed": 0,
                               "folds": 2, "device": "cpu", "progress": False}, SEED),
        "flip_rate_estimates": Case({"data": data, "record": record, "probabilities": p, "parts": [p], "stop": 1,
                                     "resamples": 2, "level": 0.9, "seed": 0}, SEED | {"stop": "zero"}),
        "read_decisions": Case({"path": decided, "data": data}),
        "suspects": Case({"data": data, "probabilities": p, "record": record, "network": "probabilities", "stop": 1},
                         {"stop": "zero"}),
        "write_gallery": Case({"table": ranked, "data": data, "path": root / "page.html", "top": 1, "side": 8,
                               "source": None}, {"path": "text"}),
    }


def pools():
    labels = np.arange(20) % 2
    p = 0.8 * np.eye(2)[labels] + 0.1
    free = {"labels": "zero", "smoothing": "zero"}
    return {
        "fit_label_pool": Case({"parts": [p], "labels": labels, "smoothing": 1.0}, free),
        "label_posterior": Case({"probabilities": p, "labels": labels, "smoothing": 1.0}, free),
        "pool_probabilities": Case({"parts": [p], "labels": labels, "margins": np.linspace(-1, 1, 20), "of": 0,
                                    "smoothing": 1.0}, free | {"margins": ANY_REAL, "of": "zero"}),
    }
