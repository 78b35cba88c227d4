"""Speed and test accuracy of `fit` against the usual training loop, as a Markdown table: python benchmarks/training.py.

The usual loop is what most scripts on CIFAR-10 do: a data set of PIL images, torchvision's transforms (random crop with
a padding of 4, mirror images, tensor, normalisation), a DataLoader in one process, float32. Both train the same network
by the same recipe on the same device and with the same number of threads. The data are CIFAR-10 where
SIGNAL_FIRST_CIFAR10 names it; else random pixels of the same size, and then no accuracy is shown. Speed is that of
training epochs alone, without measurements; the two take turns, and each time is the best of its rounds: others' load
only adds. `--brief` fits a GPU's accuracies into two minutes; `--tiny` shows only that all of it runs.
"""

import argparse
import os
import time
from dataclasses import dataclass, replace

import numpy as np
import torch
from engine import best_of, machine
from PIL import Image
from torch.nn.functional import cross_entropy

from helpers.data.datasets import CIFAR10_VARIABLE, load_cifar10
from helpers.data.images import LabelledImages, class_index, two_class_images
from helpers.data.torchvision_import import import_torchvision
from helpers.runtime import best_device
from helpers.training.loop import TrainingRun, fit
from helpers.training.models import resnet, vgg
from helpers.training.recipe import Recipe


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default=best_device())
    parser.add_argument("--brief", action="store_true", help="fewer images, epochs and seeds")
    parser.add_argument("--tiny", action="store_true", help="as little as shows that it runs")
    return parser.parse_args()


OPTIONS = options()
DEVICE = torch.device(OPTIONS.device)
GPU = DEVICE.type == "cuda"
RECIPE = Recipe(epochs=4, lr=0.02, batch_size=16 if OPTIONS.tiny else 128, weight_decay=5e-4, augment=True)
SEEDS = range(2 if OPTIONS.brief or OPTIONS.tiny or not GPU else 5)
ROUNDS = 1 if OPTIONS.tiny else 3


@dataclass(frozen=True)
class Task:
    """A network and how it trains: with step size `lr`, on `timed` images for the speed; for the accuracy on `trained`
    images for `epochs` epochs, with `tested` test images. pair : on two classes only."""

    name: str
    build: object
    pair: bool
    lr: float
    timed: int
    trained: int
    epochs: int
    tested: int
    target: str


# On a GPU whole epochs of CIFAR-10; on a CPU as much as a few minutes allow.
SIZES = ({"VGG": (16, 16, 1, 16), "ResNet": (16, 16, 1, 16)} if OPTIONS.tiny else
         {"VGG": (10_000, 10_000, 4, 2_000), "ResNet": (10_000, 10_000, 4, 10_000)} if OPTIONS.brief else
         {"VGG": (10_000, 10_000, 20, 2_000), "ResNet": (50_000, 50_000, 10, 10_000)} if GPU else
         {"VGG": (512, 1_000, 8, 1_000), "ResNet": (256, 1_000, 3, 1_000)})
TASKS = [
    Task("VGG-11, two classes", lambda data, seed: vgg(data.image_shape, 2, seed=seed, dropout=0.0), True, 0.01,
         *SIZES["VGG"], "20 on a GPU, 1 on a CPU"),
    Task("ResNet-18, ten classes", lambda data, seed: resnet(data.image_shape, 10, seed=seed), False, 0.02,
         *SIZES["ResNet"], "5 on a GPU, 1 on a CPU")]


class PilImages(torch.utils.data.Dataset):
    """What torchvision.datasets.CIFAR10 does: an array in memory, a PIL image and a transform for each access."""

    def __init__(self, x, labels, transform):
        self.images = np.ascontiguousarray((x * 255).round().astype(np.uint8).transpose(0, 2, 3, 1))
        self.labels, self.transform = labels, transform

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.transform(Image.fromarray(self.images[index])), int(self.labels[index])


class UsualLoop:
    """The loop of most scripts; `epoch` trains on every image once."""

    def __init__(self, data, model, recipe, seed):
        transforms = import_torchvision().transforms
        mean, std = data.x.mean((0, 2, 3)).tolist(), data.x.std((0, 2, 3)).tolist()
        ends = [transforms.ToTensor(), transforms.Normalize(mean, std)]
        changes = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip()]
        torch.manual_seed(seed)  # of the crops
        labels = class_index(data.y_obs, data.n_classes)
        train = PilImages(data.x, labels, transforms.Compose(changes + ends))
        self.loader = torch.utils.data.DataLoader(train, recipe.batch_size, shuffle=True,
                                                  generator=torch.Generator().manual_seed(seed))
        test = PilImages(data.x_test, class_index(data.y_test, data.n_classes), transforms.Compose(ends))
        self.test = torch.utils.data.DataLoader(test, 1000)
        self.model = model.to(DEVICE)
        self.optimizer = torch.optim.SGD(model.parameters(), recipe.lr, recipe.momentum,
                                         weight_decay=recipe.weight_decay)

    def epoch(self):
        self.model.train()
        for x, y in self.loader:
            x, y = x.to(DEVICE), y.to(DEVICE)
            self.optimizer.zero_grad()
            loss = cross_entropy(self.model(x), y)
            loss.backward()
            self.optimizer.step()
        return loss.item()  # waits for the GPU

    @torch.no_grad()
    def accuracy(self):
        self.model.eval()
        right = [(self.model(x.to(DEVICE)).argmax(1).cpu() == y).double().mean() * len(y) for x, y in self.test]
        return float(sum(right)) / len(self.test.dataset)


def load():
    """CIFAR-10, and whether it is real."""
    path = os.environ.get(CIFAR10_VARIABLE)
    if path:
        return load_cifar10(path), True
    rng, n = np.random.default_rng(0), 20_000
    classes = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
    x, x_test = (rng.random((size, 3, 32, 32), np.float32) for size in (n, 1000))
    return LabelledImages("random pixels", classes, x, np.arange(n) % 10, x_test, np.arange(1000) % 10), False


def speeds(task, data):
    """Training images a second of the usual loop and of `fit`."""
    part, recipe = data.subset(min(task.timed, data.n)), replace(RECIPE, lr=task.lr)
    usual = UsualLoop(part, task.build(part, 0), recipe, 0)
    ours = TrainingRun(task.build(part, 0).to(DEVICE, memory_format=torch.channels_last), part, recipe, 0, DEVICE, GPU)
    seconds = best_of(ROUNDS, {"usual": usual.epoch, "fit": lambda: ours.advance(False)})
    return {name: part.n / value for name, value in seconds.items()}


def accuracies(task, data):
    """Test accuracy after the last epoch of both, one per seed."""
    part, result = data.subset(min(task.trained, data.n)), {"usual": [], "fit": []}
    part = replace(part, x_test=part.x_test[:task.tested], y_test=part.y_test[:task.tested], y_test_obs=None)
    recipe = replace(RECIPE, epochs=task.epochs, lr=task.lr)
    for seed in SEEDS:
        usual = UsualLoop(part, task.build(part, seed), recipe, seed)
        for _ in range(task.epochs):
            usual.epoch()
        result["usual"].append(usual.accuracy())
        record = fit(task.build(part, seed), part, recipe, seed, record_at=[task.epochs], device=DEVICE,
                     threads=torch.get_num_threads())
        result["fit"].append(1 - record.fresh_error[0, -1])
    return result


def table():
    """The rows: first both speeds, which want a quiet machine, then the accuracies, which do not care."""
    data, real = load()
    yield f"| {data.name} | usual loop | `fit` | ratio | target |"
    yield "|---|---:|---:|---:|---|"
    own = {task: two_class_images(data, "airplane", "automobile") if task.pair else data for task in TASKS}
    for task in TASKS:
        rate = speeds(task, own[task])
        yield (f"| {task.name}, images a second | {rate['usual']:.0f} | {rate['fit']:.0f} | "
               f"{rate['fit'] / rate['usual']:.2f} | {task.target} |")
    for task in TASKS if real else ():
        shown = {name: f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"
                 for name, values in accuracies(task, own[task]).items()}
        yield (f"| {task.name}, test accuracy after {task.epochs} epochs of {min(task.trained, own[task].n):,} images, "
               f"mean ± s.d. of {len(SEEDS)} seeds | {shown['usual']} | {shown['fit']} | | |")


if __name__ == "__main__":
    start = time.perf_counter()
    print(machine(), end="\n\n", flush=True)
    for line in table():
        print(line, flush=True)
    print(f"\n`fit` in {'bfloat16' if GPU else 'float32'}, the usual loop in float32. "
          f"Took {time.perf_counter() - start:.0f} s.")
