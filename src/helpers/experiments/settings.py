"""With which network and which recipe each experiment on images runs on each data set, and at which epochs it looks.

The settings were found by trial for the experiment that they belong to, so that two experiments may differ on the same
images.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from torch import nn

from helpers import checks
from helpers.data.images import LabelledImages
from helpers.entry import entry
from helpers.experiments.ranges import check_ranges
from helpers.runtime import profile
from helpers.training.models import PreActResNet, SmallCNN, SmallVGG, resnet, vgg
from helpers.training.recipe import Recipe

SIZES = ("quick", "full")  # of settings, one for each profile
TEN_WAY = ", ten-way head"  # ends the name of two classes that stand before such a head (`deep_ten_way`)
MARKS = (0, 1, 2, 3, 4, 6, 8, 11, 15, 20, 25, 30, 40, 50, 60, 80, 100, 120, 150, 200)


@entry
@dataclass(frozen=True)
class Setting:
    """What a network is called, and how it is made and trained.

    Attributes
    ----------
    name
        the network in words.
    make
        called as make(image_shape, n_outputs=..., seed=...), with `width` where there is one.
    recipe
        how to train it.
    width
        channels of its first convolution; None for a network of one width.
    n_val
        how many training images are held out where a rule validates.
    one_output
        whether two classes get one output f instead of two logits.
    """

    name: str
    make: Callable[..., nn.Module]
    recipe: Recipe
    width: int | None = None
    n_val: int = 0
    one_output: bool = False

    def __post_init__(self) -> None:
        checks.require(self.name != "", "name", self.name, "not empty")
        check_ranges(width=self.width, n_val=self.n_val)

    @entry
    def network(self, data: LabelledImages, seed: int, **options) -> nn.Module:
        """The untrained network for `data`; `options` are those of its constructor, such as the dropout of "VGG"."""
        check_ranges(seed=seed)
        if self.width is not None:
            options = {"width": self.width} | options
        n_outputs = 1 if self.one_output and data.n_classes == 2 else data.n_classes
        return self.make(data.image_shape, n_outputs=n_outputs, seed=seed, **options)


def small_cnn_setting(width: int, recipe: Recipe, *, one_output: bool = False) -> Setting:
    """The Setting of a `SmallCNN`."""
    return Setting(f"small CNN, width {width}", SmallCNN, recipe, width, one_output=one_output)


def vgg_11_setting(width: int, recipe: Recipe, *, n_val: int = 0) -> Setting:
    """The Setting of torchvision's VGG-11 without batch normalisation, as in the code of Han et al. (2025)."""
    return Setting(f"VGG-11, width {width}", vgg, recipe, width, n_val)


# (experiment, network, data.name): what is the same in both profiles. An experiment is called as its module.
_IN_BOTH = {
    ("real_images", "small CNN", "handwritten digits"): small_cnn_setting(32, Recipe(epochs=60, lr=0.1),
                                                                          one_output=True),
    ("real_images", "small CNN", "CIFAR-10 images"): small_cnn_setting(16, Recipe(epochs=40, lr=0.03), one_output=True),
    ("deep_networks", "VGG", "handwritten digits"): Setting(
        "VGG of 6 layers, width 12", SmallVGG, Recipe(epochs=25, lr=0.04, batch_size=50), 12, n_val=150),
    ("deep_networks", "ResNet", "handwritten digits"): Setting(
        "PreAct ResNet of 6 layers, width 8", partial(PreActResNet, blocks=(1, 1)),
        Recipe(epochs=25, lr=0.05, batch_size=100), 8, n_val=150),
    ("loss_distributions", "small CNN", "handwritten digits"): small_cnn_setting(16, Recipe(epochs=40, lr=0.05),
                                                                                 one_output=True),
    ("loss_distributions", "small CNN", "ten digits"): small_cnn_setting(16, Recipe(epochs=40, lr=0.05)),
    ("loss_distributions", "small CNN", "MNIST"): small_cnn_setting(16, Recipe(epochs=20, lr=0.05)),
    ("loss_distributions", "small CNN", "CIFAR-10"): small_cnn_setting(48, Recipe(epochs=20, lr=0.03)),
    ("elr", "small CNN", "ten digits"): small_cnn_setting(32, Recipe(epochs=40, lr=0.05)),
    ("human_noise", "small CNN", "ten digits"): small_cnn_setting(16, Recipe(epochs=25, lr=0.1))}
_QUICK = {
    ("deep_networks", "VGG", "CIFAR-10 images"): vgg_11_setting(16, Recipe(epochs=30, lr=0.02, batch_size=50),
                                                                n_val=300),
    ("deep_networks", "ResNet", "CIFAR-10 images"): Setting(
        "PreAct ResNet of 8 layers, width 16", partial(PreActResNet, blocks=(1, 1, 1)),
        Recipe(epochs=20, lr=0.02, batch_size=50), 16, n_val=300),
    ("elr", "small CNN", "CIFAR-10"): small_cnn_setting(16, Recipe(epochs=40, lr=0.03))}
_FULL = {
    ("deep_networks", "VGG", "CIFAR-10 images"): Setting(
        "VGG-11", vgg, Recipe(epochs=60, lr=0.02, batch_size=100), 64, n_val=300),
    ("deep_networks", "ResNet", "CIFAR-10 images"): Setting(
        "PreAct ResNet-18", PreActResNet, Recipe(epochs=40, lr=0.02, batch_size=100), 64, n_val=300),
    # the network and the recipe of Liu et al. (2020), without augmentation
    ("elr", "ResNet", "CIFAR-10"): Setting(
        "ResNet-34", partial(resnet, depth=34),
        Recipe(epochs=120, lr=0.02, weight_decay=1e-3, batch_size=128, milestones=(40, 80), decay=0.01))}
SETTINGS = {(*key, size): found for size, part in zip(SIZES, (_QUICK, _FULL))
            for key, found in (_IN_BOTH | part).items()}


@entry
def setting(experiment: str, data: LabelledImages, *, network: str | None = None, size: str | None = None) -> Setting:
    """The Setting of an experiment for `data`, or for the two classes that `data` puts before a ten-way head.

    Parameters
    ----------
    experiment
        its module: "real_images", "deep_networks", "loss_distributions", "elr" or "human_noise".
    data
        known by its name.
    network
        "VGG" or "ResNet" of "deep_networks"; the other experiments have one network for each data set.
    size
        "quick" or "full"; by default that of the profile.

    Raises
    ------
    ValueError
        If the experiment has no such network, or none for such data.

    Examples
    --------
    >>> from helpers.data import load_digits
    >>> from helpers.experiments import setting
    >>> chosen = setting("real_images", load_digits())
    >>> chosen.name, chosen.recipe.epochs
    ('small CNN, width 32', 60)
    """
    size = checks.one_of("size", profile() if size is None else size, SIZES)
    checks.one_of("experiment", experiment, dict.fromkeys(key[0] for key in SETTINGS))
    known = {key[1:3]: found for key, found in SETTINGS.items() if (key[0], key[3]) == (experiment, size)}
    name = data.name.removesuffix(TEN_WAY)
    checks.one_of("data.name", name, dict.fromkeys(of_data for _, of_data in known))
    networks = [of_network for of_network, of_data in known if of_data == name]
    if network is None and len(networks) == 1:
        network = networks[0]
    return known[checks.one_of("network", network, networks), name]


def setting_epochs(last: int, *, marks: Sequence[int] = MARKS) -> list[int]:
    """Epochs 0 to `last` at which a run is measured: each at first, then farther and farther apart."""
    return sorted({epoch for epoch in marks if epoch < last} | {last})
