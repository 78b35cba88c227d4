"""Good calls of the wing of data: see `good_arguments`. They read small files in a folder of their own."""

import functools
import tempfile
from pathlib import Path

import numpy as np
from good_case import ANY_REAL, Case
from image_files import clothing_files, save_image, save_npz, webvision_files

from helpers import SignalNoise
from helpers.data.cifar10n import LABEL_ARRAYS
from helpers.streams import random_stream

SEED = "zero huge"


def small_images(classes=("a", "b", "c"), n=24):
    from helpers.data import LabelledImages, class_labels

    y = class_labels(np.arange(n) % len(classes), len(classes))
    x = random_stream(0, "pixels").random((n, 1, 4, 4)).astype(np.float32)
    return LabelledImages("small", classes, x, y, x, y)


def data():
    return arrays() | files() | kinds() | ratings() | signal_noise()


def arrays():
    images = small_images()
    two = small_images(("a", "b"))
    y, marks = two.y, np.arange(24) % 2 == 0
    whole = {"name": "small", "classes": ("a", "b"), "y": y, "y_test": y, "y_obs": y, "y_test_obs": y,
             "noise": {}, "files": tuple(map(str, range(24))), "n_test_true": 3}
    free = {"name": "text empty", "noise": "empty", "n_test_true": "zero"}
    images_made, rows = {**whole, "x": two.x, "x_test": two.x_test}, two.x.reshape(24, 16)
    rows_made = {**whole, "x": rows, "x_test": rows}
    pairs = list(zip(two.x, (0, 1) * 12))
    return {
        "LabelledImages": Case(images_made, free | {"x": "zero", "x_test": "zero"}),
        "LabelledFeatures": Case(rows_made, free | {"x": ANY_REAL, "x_test": ANY_REAL}),
        "LabelledData.keep": Case({"kept": marks}, on=images),
        "LabelledData.subset": Case({"n_train": 5, "seed": 0}, {"seed": SEED}, on=images),
        "class_index": Case({"y": y, "n_classes": 2}, {"y": "shape empty"}),
        "class_labels": Case({"index": np.array([0, 1]), "n_classes": 2}, {"index": "zero shape empty"}),
        "two_class_images": Case({"data": images, "negative": "a", "positive": "b"}),
        "add_label_noise": Case({"data": images, "noise": 0.2, "seed": 0, "draw": "exact"},
                                {"noise": "zero", "seed": SEED}),
        "flip_labels": Case({"labels": y, "rate": 0.2, "seed": 0, "draw": "exact", "classes": np.array([-1.0, 1.0]),
                             "stream": "noise"}, {"rate": "zero", "seed": SEED, "stream": "text empty"}),
        "label_noise_transition": Case({"y": y, "y_obs": y, "n_classes": 2}),
        "hold_out": Case({"data": images, "n_val": 5, "seed": 0}, {"seed": SEED}),
        "keep_samples": Case({"data": images, "kept": marks}),
        "labelled_arrays": Case(
            {"x": two.x, "labels": (0, 1) * 12, "name": "small", "classes": ("a", "b"), "x_test": two.x,
             "labels_test": (0, 1) * 12, "true_labels": (0, 1) * 12, "labels_are": "observed",
             "labels_are_test": "true", "files": whole["files"], "layout": "NCHW"},
            {"name": "text empty", "x": "zero", "x_test": "zero", "true_labels": "zero", "labels_test": "zero"}),
        "labelled_dataset": Case({"dataset": pairs, "classes": ("a", "b"), "name": "small", "labels_are": "observed",
                                  "files": whole["files"], "layout": "NCHW"}, {"name": "text empty"}),
    }


@functools.cache
def written():
    """A folder of small files, which stays as long as the process."""
    folder = tempfile.TemporaryDirectory()
    root = Path(folder.name)
    save_npz(root / "cifar10.npz")
    save_npz(root / "mnist.npz", **{f"x_{part}": np.zeros((size, 28, 28), np.uint8)
                                    for part, size in (("train", 60), ("test", 30))})
    clean = np.arange(60) % 10
    np.savez(root / "people.npz", **dict.fromkeys(LABEL_ARRAYS, clean))
    (root / "rows.csv").write_text("a,b,kind,file\n" + "".join(f"1,{i},{'xy'[i % 2]},f{i}\n" for i in range(20)))
    for i in range(12):
        save_image(root / "plain" / "xy"[i % 2] / f"{i}.png", (i, i, i))
    (root / "list.txt").write_text("x/0.png y\n")
    (root / "web").mkdir()
    (root / "clothes").mkdir()
    webvision_files(root / "web")
    clothing_files(root / "clothes")
    return folder, root


def files():
    from helpers.data import FolderImages, load_cifar10

    root, numbers = written()[1], np.arange(2)
    reading = {"size": 4, "n_train": 2, "n_test": 1, "seed": 0, "progress": False}
    free, npz = {"seed": SEED, "name": "text empty"}, {"path": root / "cifar10.npz"}
    local = {**npz, "download": False}
    found = FolderImages((Path("a"), Path("b")), numbers, numbers, ("a", "b"))
    return {
        "FolderImages.at": Case({"chosen": numbers}, {"chosen": "zero empty"}, on=found),
        "FolderImages.some": Case({"n": 1, "seed": 0, "stream": "train"},
                                  {"seed": SEED, "stream": "text empty"}, on=found),
        "add_cifar10n_labels": Case({"data": load_cifar10(npz["path"]), "kind": "worst",
                                     "path": root / "people.npz", "download": False}),
        "load_cifar10": Case(local), "load_cifar10_pair": Case(npz), "load_cifar100": Case(local),
        "load_cifar10n": Case({"path": root / "people.npz", "download": False}),
        "load_mnist": Case({"folder": root / "mnist.npz", "download": False}),
        "load_npz": Case({**npz, "name": "a", "classes": tuple("abcdefghij")}, free),
        "load_digit_classes": Case({"n_train": 100, "seed": 0}, free),
        "load_digits": Case({"n_train": 100, "seed": 0}, free),
        "load_csv": Case({"path": root / "rows.csv", "label": "kind", "names": "file", "drop": ("a",),
                          "test_share": 0.2, "seed": 0, "name": "a", "labels_are": "true"},
                         {**free, "drop": "empty", "test_share": "zero"}),
        "load_folder": Case({"path": root / "plain", "noisy_labels": root / "list.txt", "mode": "L", "test_share": 0.2,
                             "name": "a", "labels_are": "true", **reading}, free),
        "load_clothing1m": Case({"path": root / "clothes", "train": "both", **reading}, free),
        "load_webvision": Case({"path": root / "web", "n_classes": 2, **reading}, free),
    }


def kinds():
    from helpers import data as wing

    x, index = small_images().x, np.arange(24) % 3
    rate, rates, of_two = {"rate": 0.2}, {"rate": "zero"}, wing.ClassConditionalNoise(0.1, 0.2)
    rows = {"x": x, "index": index, "classes": 3, "seed": 0}
    free = {"x": ANY_REAL, "index": "zero empty", "seed": SEED}
    cases = {name: Case(rate, rates) for name in ("RatedNoise", "SymmetricNoise", "SymmetricRedrawNoise",
             "PairFlipNoise", "AsymmetricCIFAR10Noise", "AsymmetricCIFAR100Noise")}
    for name, classes in {"SymmetricNoise": 3, "SymmetricRedrawNoise": 3, "PairFlipNoise": 3,
                          "AsymmetricCIFAR10Noise": 10, "AsymmetricCIFAR100Noise": 100}.items():
        cases[f"{name}.transition_matrix"] = Case({"classes": classes}, on=getattr(wing, name)(0.2))
    return cases | {
        "ClassConditionalNoise": Case({"flip_plus": 0.1, "flip_minus": 0.1}, dict.fromkeys(("flip_plus", "flip_minus"),
                                                                                          "zero")),
        "ClassConditionalNoise.transition_matrix": Case({"classes": 2}, on=of_two),
        "TransitionNoise": Case({"matrix": ((0.9, 0.1), (0.2, 0.8))}),
        "TransitionNoise.transition_matrix": Case({"classes": 2}, on=wing.TransitionNoise(((0.9, 0.1), (0.2, 0.8)))),
        "HumanLabelNoise": Case({"labels": index, "source": "three"}, {"labels": ANY_REAL, "source": "text empty"}),
        "InstanceDependentNoise": Case({"rate": 0.2, "std": 0.1, "centred": False}),
        "InstanceDependentNoise.rows": Case({**rows, "stream": "s", "mean": 0.5}, {
            **free, "stream": "text empty", "mean": f"{ANY_REAL} shape"}, on=wing.InstanceDependentNoise(0.2)),
        "MatrixNoise.rows": Case(rows, free, on=wing.SymmetricNoise(0.2)),
    }


def ratings():
    from helpers.data import ask_raters

    images = small_images()
    true = np.arange(24) % 3
    law = 0.7 * np.eye(3)[true] + 0.1
    given, both = ask_raters(law, 3, 0), {"law": law, "true": true}
    many, wrong = np.tile(true, 100), np.linspace(0, 0.6, 2400)[:, None]  # easy and hard images, as bounds need them
    asked = {"true": many, "ratings": ask_raters((1 - 1.5 * wrong) * np.eye(3)[many] + wrong / 2, 3, 0)}
    whole, rated = {"true": true, "ratings": ask_raters(law, 3, 0)}, {"true": "zero", "ratings": "zero"}
    laws = {"true": "zero"}
    counts = np.array([[8, 2, 1], [1, 9, 1], [2, 1, 9]])
    return {
        "aggregate_ratings": Case({"ratings": given, "seed": 0}, {"ratings": "zero", "seed": SEED}),
        "ask_raters": Case({"law": law, "raters": 3, "seed": 0}, {"seed": SEED}),
        "joint_rater_mistakes": Case(whole, rated),
        "loosen_ratings": Case({"data": images, "keep": "rate", "seed": 0}, {"seed": SEED}),
        "mixed_rater_law": Case({**both, "dependence": 0.5}, laws | {"dependence": "zero"}),
        "rater_class_means": Case({"values": law, "true": true}, laws | {"values": ANY_REAL}),
        "rater_competitors": Case({"matrix": counts / counts.sum(1)[:, None]}, {"matrix": "zero"}),
        "rater_law": Case({"school": images, "data": images, "rate": 0.4}),
        "rater_mistake_bounds": Case({**asked, "weight": abs, "event": lambda q: q < 0.5}, rated),
        "rater_mistakes": Case(both, laws), "readable_by_raters": Case(both, laws),
        "rater_reading_share": Case(both, laws),
        "rater_transition_interval": Case({"counts": counts, "level": 0.9}, {"counts": "zero"}),
        "shuffled_rater_mistakes": Case({**whole, "draws": 3, "seed": 0}, rated | {"seed": SEED}),
        "with_ratings": Case({"data": images, "labels": true}, {"labels": "zero"}),
        "worst_rating_law": Case({**both, "raters": 3}, laws),
        "worst_ratings": Case({"ratings": given, "true": true}, rated),
    }


def signal_noise():
    problem = SignalNoise(8, 40, n_snr2=4.0, flip_plus=0.2, flip_minus=0.2)
    sample = problem.sample(0, n_test=4)
    fields = {name: getattr(sample, name) for name in ("mu", "xi", "y", "y_obs", "xi_test", "y_test", "distribution")}
    options = {"noise_std": 1.0, "flip_plus": 0.1, "flip_minus": 0.1, "orthogonal": False, "balanced": False}
    return {
        "Sample": Case(fields, dict.fromkeys(("mu", "xi", "xi_test"), ANY_REAL)),
        "Sample.keep": Case({"kept": np.arange(8) < 4}, on=sample),
        "SignalNoise": Case({"n": 8, "d": 40, "n_snr2": 4.0, "mu_norm": None, "snr": None, **options},
                            dict.fromkeys(("flip_plus", "flip_minus"), "zero")),
        "SignalNoise.draw_labels": Case({"seed": 0}, {"seed": SEED}, on=problem),
        "SignalNoise.flip": Case({"y": sample.y.numpy(), "rng": random_stream(0, "x")}, {"y": "empty"}, on=problem),
        "SignalNoise.sample": Case({"seed": 0, "n_test": 4}, {"seed": SEED, "n_test": "zero"}, on=problem),
    }
