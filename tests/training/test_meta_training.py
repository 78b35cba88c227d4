"""Training on `meta`, for every model with every loss: a tensor left on the CPU is found without a GPU."""

import copy
import threading
from functools import partial

import numpy as np
import pytest
import torch
from devices import META, Mixed, OneDevice, complete_meta
from torch.nn.functional import softplus

from helpers import checks
from helpers.data.images import LabelledImages
from helpers.training import losses
from helpers.training.batches import ImageBatches
from helpers.training.elr_plus import ELRPlus
from helpers.training.loop import fit
from helpers.training.losses import CrossEntropy, ELRLoss
from helpers.training.models import Dropout, ModelPair, PreActResNet, SmallCNN, SmallVGG, resnet, vgg
from helpers.training.one_run import TrainingRun
from helpers.training.recipe import Recipe

SHAPE, N, BATCH = (3, 8, 8), 6, 4


def pair(shape, n_outputs):
    return ModelPair(*(SmallVGG(shape, n_outputs, width=2, hidden=4, seed=seed) for seed in range(2)))


MODELS = {"SmallCNN": lambda shape, k: SmallCNN(shape, width=2, n_outputs=k),
          "one output": lambda shape, k: SmallCNN(shape, width=2), "two outputs": partial(SmallVGG, width=2, hidden=4),
          "SmallVGG": partial(SmallVGG, width=2, hidden=4), "VGG": partial(vgg, width=2), "ResNet": resnet,
          "PreActResNet": partial(PreActResNet, blocks=(1, 1), width=2), "Pair": pair}
LOSSES = {"cross-entropy": CrossEntropy(), "ELR": ELRLoss(), "ELR+": ELRPlus(), "ELR+ unmixed": ELRPlus(mixup=0.0)}


@pytest.fixture(autouse=True)
def meta(monkeypatch):
    complete_meta(monkeypatch)


def images(model):
    """Labelled images of no meaning, of as many classes as suits the model."""
    n_classes = 2 if model in ("one output", "two outputs") else 3
    names, rng = tuple(f"class {k}" for k in range(n_classes)), np.random.default_rng(0)
    x, x_test = (rng.random((count, *SHAPE), np.float32) for count in (N, 3))
    labels = np.array([1.0, -1.0]) if n_classes == 2 else np.arange(n_classes)
    return LabelledImages("made up", names, x, np.resize(labels, N), x_test, np.resize(labels, 3))


def started(model, loss):
    """A TrainingRun on `meta`. ELR+, which trains a Pair, has two of any other model."""
    data = images(model)
    network = MODELS[model](SHAPE, data.n_classes)
    if isinstance(loss, ELRPlus) and model != "Pair":
        network = ModelPair(network, copy.deepcopy(network))
    recipe = Recipe(epochs=2, batch_size=BATCH, augment=True, weight_decay=0.1, loss=loss)
    return TrainingRun(network.to(META, memory_format=torch.channels_last), data, recipe, 0, META, False)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("model", MODELS)
def test_meta_holds_all_of_training(model, loss):
    run = started(model, LOSSES[loss])
    with OneDevice():
        for _ in range(2):  # epoch 0 only measures
            run.advance(True)
    state = [*run.model.state_dict().values(), *run.loss.state_dict().values(),
             *(value for values in run.optimizer.state.values() for value in values.values() if torch.is_tensor(value))]
    assert run.epoch == 1 and all(tensor.device == META for tensor in state)
    assert all(parameter.grad.device == META for parameter in run.model.parameters())
    dropouts = [module for module in run.model.modules() if isinstance(module, Dropout)]
    assert bool(dropouts) == (model in ("SmallVGG", "two outputs", "VGG", "Pair"))
    assert all(module.generator.made_for == META for module in dropouts)


def test_meta_holds_the_later_steps_of_averaged_weights():
    """After the first step, which copies, the averages of ELR+ are means; it asks by a truth value which step it is."""
    run = started("PreActResNet", ELRPlus())
    with OneDevice():
        for _ in range(2):
            run.advance(False)
    with OneDevice(truth=False):
        run.loss.after_step(run.model)


def test_meta_takes_a_whole_fit(monkeypatch):
    monkeypatch.setattr(checks, "device", lambda argument, value: torch.device(value))
    data, recipe = images("VGG"), Recipe(epochs=1, batch_size=BATCH, loss=ELRLoss())
    with OneDevice():
        record = fit(MODELS["VGG"](SHAPE, 3), data, recipe, 0, device="meta", precision="float32", n_val=1)
    assert record.config["device"] == "meta" and record.margins.shape == (1, 2, N)


def test_a_run_that_ends_leaves_the_others_their_deterministic_algorithms(monkeypatch):
    """Runs go side by side in threads, and cuDNN's switch is one for all of them."""
    before, inside, seen = torch.backends.cudnn.deterministic, [threading.Event(), threading.Event()], []

    def train(run):
        inside[run.seed].set()
        if run.seed == 0:
            assert inside[1].wait(60)  # the first run ends while the second one is under way
        else:
            first.join(60)
            seen.append(torch.backends.cudnn.deterministic)

    monkeypatch.setattr(TrainingRun, "_train", train)
    runs = [started("one output", CrossEntropy()) for _ in range(2)]
    for seed, run in enumerate(runs):
        run.seed, run.epoch = seed, 0
    first, second = (threading.Thread(target=run.advance, args=[False]) for run in runs)
    first.start()
    assert inside[0].wait(60)
    second.start()
    second.join(60)
    assert seen == [True] and torch.backends.cudnn.deterministic == before


# Faults that no test on a CPU can see, each planted where it would be made.


def targets_left_behind(loss, n, n_classes, device="cpu", model=None):
    return losses._ELR(loss, n, n_classes)


def constant_in_the_loss(self, outputs, labels, index):
    signs = torch.tensor([1.0, -1.0])
    return softplus(signs[labels] * outputs).mean()


def places_left_behind(self, index, rng=None):
    rows, columns = map(torch.from_numpy, self._places(len(index), rng))
    return self.images[index[:, None, None], rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


FAULTS = {"targets": (ELRLoss, "start", targets_left_behind, "VGG"),
          "constant": (losses._CrossEntropy, "forward", constant_in_the_loss, "one output"),
          "crops": (ImageBatches, "batch", places_left_behind, "SmallCNN")}


@pytest.mark.parametrize("fault", FAULTS)
def test_meta_finds_a_planted_tensor_on_the_cpu(fault, monkeypatch):
    owner, name, faulty, model = FAULTS[fault]
    monkeypatch.setattr(owner, name, faulty)
    run = started(model, ELRLoss() if owner is ELRLoss else CrossEntropy())
    with OneDevice(), pytest.raises(Mixed, match="cpu and meta"):
        run.advance(False)
        run.advance(False)


def test_meta_finds_labels_that_were_not_moved():
    run = started("ResNet", CrossEntropy())
    run.labels = torch.zeros(N, dtype=torch.long)
    with OneDevice(), pytest.raises(Mixed, match="index"):
        run.advance(False)
        run.advance(False)


def test_meta_finds_a_layer_that_was_not_moved():
    """Torch's own check lets a matrix product of two devices pass on `meta`."""
    run = started("SmallVGG", CrossEntropy())
    run.model[-1].to_empty(device="cpu")
    with OneDevice(), pytest.raises(Mixed, match="mm"):
        run.advance(True)
