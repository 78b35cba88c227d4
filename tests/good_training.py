"""Good calls of the wing of training: see `good_arguments`. What trains does so on twenty images, for one epoch."""

import tempfile
from pathlib import Path

import numpy as np
import torch
from good_case import ANY_REAL, Case

FOLDER = tempfile.TemporaryDirectory()  # as long as the process
SEED = {"seed": "zero huge"}
SHAPE = (1, 8, 8)


def training():
    return networks() | losses() | runs() | batches_and_logs()


def small(data, seed):
    from helpers.training import SmallCNN

    return SmallCNN(data.image_shape, width=2, n_outputs=2, seed=seed)


def networks():
    from helpers.streams import random_stream
    from helpers.training import Dropout, SmallCNN

    shape, first = {"image_shape": SHAPE, "seed": 0}, SmallCNN(SHAPE, width=2)
    outputs = {**shape, "n_outputs": 2}
    no_dropout = SEED | {"dropout": "zero"}
    return {
        "Dropout": Case({"p": 0.5}, {"p": "zero"}),
        "Dropout.reseed": Case({"rng": random_stream(0, "masks"), "device": "cpu"}, on=Dropout()),
        "ModelPair": Case({"first": first, "second": first}),
        "PreActResNet": Case({**outputs, "blocks": (1, 1), "width": 2}, SEED),
        "SmallCNN": Case({**outputs, "width": 2, "init_scale": 1.0}, SEED),
        "SmallVGG": Case({**outputs, "width": 2, "hidden": 4, "dropout": 0.1}, no_dropout),
        "randomise_model": Case({"model": first, "seed": 0, "layers": 1}, SEED | {"layers": "zero"}),
        "resnet": Case({**outputs, "depth": 18}, SEED),
        "vgg": Case({**outputs, "depth": 11, "width": 1, "dropout": 0.5, "init": "he"}, no_dropout),
    }


def losses():
    from helpers.training import CrossEntropy, ELRLoss, ELRPlus, FreshFlipsLoss, ModelPair, SmallCNN

    elr, free = {"strength": 3.0, "momentum": 0.7}, dict.fromkeys(("strength", "momentum"), "zero")
    network = SmallCNN(SHAPE, width=2, n_outputs=2)
    start = {"n": 20, "n_classes": 2, "device": "cpu", "model": network}
    return {
        "CrossEntropy.start": Case(start, on=CrossEntropy()),
        "ELRLoss": Case(elr, free), "ELRLoss.start": Case(start, on=ELRLoss()),
        "ELRPlus": Case({**elr, "average": 0.9, "ramp": 10, "mixup": 1.0, "networks": 2, "tested": "live"},
                        free | dict.fromkeys(("average", "ramp", "mixup"), "zero")),
        "ELRPlus.average_at": Case({"step": 3}, {"step": "zero"}, on=ELRPlus()),
        "ELRPlus.for_run": Case({"n": 20, "epochs": 1, "batch_size": 10}, on=ELRPlus),
        "ELRPlus.start": Case(start | {"model": ModelPair(network, network)}, on=ELRPlus()),
        "FreshFlipsLoss": Case({"rate": 0.2}, {"rate": "zero"}),
        "FreshFlipsLoss.start": Case(start, on=FreshFlipsLoss(0.2)),
    }


def runs():
    from helpers.data import load_digits
    from helpers.training import CrossEntropy, Recipe, TrainingRun, fit

    data, recipe = load_digits(n_train=20), Recipe(epochs=1, batch_size=10)
    record, cpu = fit(small(data, 0), data, recipe, 0), torch.device("cpu")
    fixed = {"model": small(data, 0), "data": data, "recipe": recipe, "seed": 0}
    run = {**fixed, "device": cpu, "autocast": False, "log_training": False, "n_stop": 5}
    begun = TrainingRun(small(data, 0), data, Recipe(epochs=50, batch_size=10), 0, cpu, False)
    every = {"epochs": 2, "lr": 0.1, "momentum": 0.9, "weight_decay": 0.1, "batch_size": 10, "milestones": (1,),
             "decay": 0.1, "restart_every": 0, "lowest_lr": 0.01, "augment": False, "padding": 4,
             "loss": CrossEntropy(), "optimizer": None, "scheduler": None}
    zero = ("momentum", "weight_decay", "milestones", "restart_every", "lowest_lr")
    return {
        "Recipe": Case(every, dict.fromkeys(zero, "zero") | {"milestones": "zero empty"}),
        "Recipe.lr_at": Case({"epoch": 1}, {"epoch": "zero"}, on=recipe),
        "Recipe.steps": Case({"n": 20}, on=recipe),
        "TrainingRun": Case(run, SEED | {"n_stop": "zero"}),
        "TrainingRun.advance": Case({"measure": True}, on=begun),
        "TrainingRun.resume": Case({"epoch": 1}, {"epoch": "zero"}, on=begun),
        "fit": Case({**fixed, "record_at": np.array([0, 1]), "n_val": 5, "log_training": False, "device": "cpu",
                     "threads": 1, "precision": "float32", "checkpoint": Path(FOLDER.name),
                     "watch": lambda epoch, model: None, "log": lambda epoch, values: None, "keep": "stopped",
                     "progress": False}, SEED | {"checkpoint": "text"}),
        "fit_side_by_side": Case({"run": lambda seed: record, "seeds": [0]}, {"seeds": ANY_REAL}),
        "out_of_fold": Case({"model": small, "data": data, "recipe": recipe, "record_at": np.array([1]), "folds": 2,
                             "seed": 0, "device": "cpu", "progress": False}, SEED),
    }


def batches_and_logs():
    from helpers.data import load_digits
    from helpers.training import CSVLog, ImageBatches, SmallCNN, standardise

    data = load_digits(n_train=20)
    x, _ = standardise(data.x, None)
    network = SmallCNN(SHAPE, width=2, n_outputs=2)
    outputs = torch.tensor([[1.0, 2.0], [3.0, 0.0]])
    log = CSVLog(Path(FOLDER.name, "log.csv"))
    return {
        "CSVLog": Case({"path": Path(FOLDER.name, "other.csv")}, {"path": "text"}),
        "CSVLog.begin": Case({"epoch": 1}, {"epoch": "zero negative"}, on=log),
        "TensorBoardLog": Case({"folder": Path(FOLDER.name, "board")}, {"folder": "text"},
                               fails="needs TensorBoard, which need not be installed"),
        "ImageBatches": Case({"x": x, "device": "cpu", "augment": True, "padding": 1},
                             {"x": ANY_REAL, "padding": "zero"}),
        "ImageBatches.split": Case({"size": 5}, on=ImageBatches(x, "cpu")),
        "standardise": Case({"x": data.x, "x_test": data.x_test}, {"x": ANY_REAL, "x_test": f"{ANY_REAL} empty"}),
        "class_probabilities": Case({"model": network, "data": data, "x": data.x_test[:3]}, {"x": "zero"}),
        "predicted_classes": Case({"f": outputs}, {"f": f"{ANY_REAL} empty"}),
        "predicted_outputs": Case({"model": network, "x": torch.from_numpy(x), "epoch": 1, "n_classes": 2},
                                  {"x": ANY_REAL, "epoch": "zero"}),
    }
