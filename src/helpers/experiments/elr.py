"""Cross-entropy against early-learning regularisation on images: the runs of chapter 16 and the published table."""

import pandas as pd

from helpers import checks
from helpers.data.datasets import load_image_classes
from helpers.data.images import shrunk
from helpers.data.label_noise import add_label_noise
from helpers.data.noise_kinds import SymmetricRedraw
from helpers.runtime import best_device, profile
from helpers.training.elr_plus import ELRPlus
from helpers.training.loop import Recipe, fit, side_by_side
from helpers.training.losses import ELR, CrossEntropy
from helpers.training.models import Pair, SmallCNN, resnet

LOSSES = {"cross-entropy": CrossEntropy(), "ELR": ELR(strength=3.0, momentum=0.7)}
SECOND = 1000  # between the seeds of the two networks under ELR+
# The paper's recipe for ELR on CIFAR-10 (PAPER) and ours for a network that a CPU can train. None augments.
PAPER = Recipe(epochs=120, lr=0.02, weight_decay=1e-3, batch_size=128, milestones=(40, 80), decay=0.01)
SMALL = {"ten digits": (32, Recipe(epochs=40, lr=0.05)), "CIFAR-10": (16, Recipe(epochs=40, lr=0.03))}
PUBLISHED = pd.DataFrame({"cross-entropy": [86.98, 81.88, 74.14, 53.82], "ELR": [91.16, 89.15, 86.12, 73.86]},
                         index=pd.Index([0.2, 0.4, 0.6, 0.8], name="nominal rate")).rename_axis(columns="loss")


def setting(data):
    """(make, Recipe): make(seed) builds the network for `data`, "ten digits" or "CIFAR-10".

    On CIFAR-10 in the full profile it is the paper's ResNet-34 with the paper's recipe; otherwise a SmallCNN.
    """
    checks.one_of("data.name", data.name, SMALL)
    if data.name == "CIFAR-10" and profile() == "full":
        return lambda seed: resnet(data.image_shape, data.n_classes, depth=34, seed=seed), PAPER
    width, recipe = SMALL[data.name]
    return lambda seed: SmallCNN(data.image_shape, width=width, seed=seed, n_outputs=data.n_classes), recipe


def elr_run(data, rate, loss, seed, **changes):
    """Record of one run with symmetric noise of nominal `rate` in the paper's convention, labels redrawn from all
    classes. The seed is of the noise, the weights and the batches; `changes` are fields of the Recipe. Under ELRPlus
    there are two networks, the second with initial weights of its own."""
    make, recipe = setting(data)
    recipe = Recipe(**{**recipe.__dict__, "loss": loss, **changes})
    noisy = add_label_noise(data, SymmetricRedraw(rate), seed=seed)
    model = Pair(make(seed), make(seed + SECOND)) if isinstance(loss, ELRPlus) else make(seed)
    return fit(model, noisy, recipe, seed, record_at=_epochs(recipe.epochs), device=best_device())


def elr_runs(data, rate, loss, seeds, **changes):
    """Record of one `elr_run` a seed; seeds have the same labels, weights and batches whatever the loss."""
    return side_by_side(lambda seed: elr_run(data, rate, loss, seed, **changes), seeds)


def elr_cell(loss, rate, seed, *, n_train=20_000, side=None, width=32, epochs=30, lr=0.03, augment=False,
             precision="auto"):
    """Rows of one run on the ten classes of `load_image_classes` for a recorded table, one for each measured epoch.

    loss : "cross-entropy", "ELR" or "ELR+"; the last averages weights over an epoch, about the paper's span, and ramps
    up over half of the steps, as there. side : images are shrunk to so many pixels, by default not at all. The network
    is a SmallCNN of `width`. Columns: epoch, test accuracy, the shares of `readings` of noisy and of clean
    samples, the realised flip rate and the seconds of the run. Raises ValueError.
    """
    data = load_image_classes()
    data = data.subset(min(checks.integer("n_train", n_train), data.n))
    noisy = add_label_noise(data if side is None else shrunk(data, side), SymmetricRedraw(rate), seed=seed)
    steps = -(-noisy.n // Recipe.batch_size)
    losses = LOSSES | {"ELR+": ELRPlus(strength=3.0, momentum=0.7, average=1 - 1 / steps, ramp=epochs * steps // 2)}
    recipe = Recipe(epochs=epochs, lr=lr, augment=augment, loss=losses[checks.one_of("loss", loss, losses)])
    make = lambda s: SmallCNN(noisy.image_shape, width=width, seed=s, n_outputs=noisy.n_classes)  # noqa: E731
    model = Pair(make(seed), make(seed + SECOND)) if loss == "ELR+" else make(seed)
    record = fit(model, noisy, recipe, seed, record_at=_epochs(epochs), device=best_device(), precision=precision)
    columns = {"accuracy": 1 - record.fresh_error[0]}
    for which in ("noisy", "clean"):
        columns |= {f"{which} {name}": share[0] for name, share in readings(record, which).items()}
    fixed = {"flip rate": float(record.flipped.mean()), "seconds": record.config["seconds"]}
    return [{"epoch": int(epoch), **{name: float(values[k]) for name, values in columns.items()}, **fixed}
            for k, epoch in enumerate(record.times)]


def _epochs(last):
    marks = [0, 1, 2, 3, 5, 8, 12, 16, 20, 25, 30, 40, 60, 80, 100, 120]
    return sorted({epoch for epoch in marks if epoch < last} | {last})


def readings(record, which):
    """{"observed", "true", "other"}: (runs, T) shares of the "noisy" or "clean" samples that the network reads as their
    observed label, as their true one, and as a class that is neither. Of clean samples "observed" is not listed."""
    checks.one_of("which", which, ("noisy", "clean"))
    true = record.mean_over(record.fits_true, which)
    if which == "clean":
        return {"true": true, "other": 1 - true}
    observed = record.mean_over(record.fits_observed, which)
    return {"observed": observed, "true": true, "other": 1 - observed - true}
