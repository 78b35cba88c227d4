"""Samples on the device where a network trains: standardised once, augmented in batches by one gather."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from jaxtyping import Float, Int
from torch.nn.functional import pad
from torch.utils.data import Dataset

from helpers import checks
from helpers.data.images import LabelledData
from helpers.entry import entry

PADDING = 4  # pixels around an image in which a crop of its own size may lie, as usual for CIFAR-10
Rows = Float[np.ndarray, "n ..."]


@entry
class ImageBatches:
    """Standardised images on a device; `batch` returns some of them, channels last in memory.

    Parameters
    ----------
    x
        the images, as `standardise` makes them.
    device
        where they are kept.
    augment
        a batch is then a random crop of each image padded with zeros (zero is the mean pixel), and its mirror image in
        half of the cases: the usual augmentation of CIFAR-10.
    padding
        so many pixels.
    """

    def __init__(self, x: Float[np.ndarray, "n channels height width"], device: torch.device | str, *,
                 augment: bool = False, padding: int = PADDING):
        checks.require(x.size > 0, "x.shape", x.shape, "(n, channels, height, width), not empty")
        device = checks.named_device("device", device)
        checks.integer("padding", padding, 0)
        images, self.padding = torch.from_numpy(x), padding if augment else 0
        if augment:
            images = pad(images, (padding,) * 4)
        self.augment, self.shape, self.device = augment, x.shape, device
        # (n, height, width, channels): a pixel's channels lie together, and channels-last is a view
        self.images = images.permute(0, 2, 3, 1).contiguous().to(device)

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, index: Int[torch.Tensor, " batch"], rng: np.random.Generator | None = None
              ) -> Float[torch.Tensor, "batch channels height width"]:
        """The images at the positions `index`; crops and mirror images are drawn from `rng`."""
        if not self.augment:
            return self.images[index].permute(0, 3, 1, 2)
        rows, columns = (torch.from_numpy(place).to(self.device) for place in self._places(len(index), rng))
        return self.images[index[:, None, None], rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)

    def _places(self, count: int, rng: np.random.Generator
                ) -> tuple[Int[np.ndarray, "count height"], Int[np.ndarray, "count width"]]:
        """Rows and columns in the padded images; the columns of a mirrored image run backward."""
        _, _, height, width = self.shape
        top, left = rng.integers(0, 2 * self.padding + 1, (2, count, 1))
        rows, columns = top + np.arange(height), left + np.arange(width)
        mirrored = rng.random((count, 1)) < 0.5
        return rows, np.where(mirrored, columns[:, ::-1], columns)

    @entry
    def split(self, size: int) -> Iterator[Float[torch.Tensor, "part channels height width"]]:
        """The whole set in order, never augmented, `size` images at a time."""
        return self._parts(checks.integer("size", size))  # checked here, not when the first part is asked for

    def _parts(self, size: int) -> Iterator[Float[torch.Tensor, "part channels height width"]]:
        edge, (height, width) = self.padding, self.shape[2:]
        for part in self.images.split(size):
            yield part[:, edge:edge + height, edge:edge + width].permute(0, 3, 1, 2)


class RowBatches:
    """Standardised rows of features on a device; asked as `ImageBatches` are."""

    def __init__(self, x: Float[np.ndarray, "n p"], device: torch.device | str):
        self.rows = torch.from_numpy(x).to(device)

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, index: Int[torch.Tensor, " batch"], rng: np.random.Generator | None = None
              ) -> Float[torch.Tensor, "batch p"]:
        """The rows at the positions `index`."""
        return self.rows[index]

    def split(self, size: int) -> Iterator[Float[torch.Tensor, "part p"]]:
        """All rows in order, `size` at a time."""
        yield from self.rows.split(size)


class OwnAugmentation:
    """Samples as they were given; `batch` hands some of them to a function and standardises what comes back.

    Parameters
    ----------
    x
        the samples: pixels in [0, 1], or rows.
    augment
        as of `Recipe`. A transform of torchvision is called image by image: of a batch it would treat all alike.
    device
        where they are kept.
    """

    def __init__(self, x: Rows, augment: Callable[[torch.Tensor], torch.Tensor], device: torch.device | str):
        self.samples, self.augment, self.checked = torch.from_numpy(x).to(device), augment, False
        self.mean, self.std = (torch.from_numpy(np.asarray(part, np.float32)).to(device) for part in _scale(x))
        self.single = type(augment).__module__.startswith("torchvision.")

    def batch(self, index: Int[torch.Tensor, " batch"], rng: np.random.Generator | None = None
              ) -> Float[torch.Tensor, "batch ..."]:
        """The samples at the positions `index`, augmented. Random numbers come from the global generators."""
        given = self.samples[index]  # a copy
        changed = torch.stack([self.augment(one) for one in given]) if self.single else self.augment(given)
        self._check(changed, tuple(given.shape))
        changed = (changed.float() - self.mean) / self.std
        return changed.contiguous(memory_format=torch.channels_last) if changed.ndim == 4 else changed

    def _check(self, changed: object, shape: tuple[int, ...]) -> None:
        found = f"{changed.dtype}, {tuple(changed.shape)}" if torch.is_tensor(changed) else type(changed).__name__
        fits = torch.is_tensor(changed) and changed.is_floating_point() and tuple(changed.shape) == shape
        checks.require(fits, "recipe.augment", f"<a function that returned {found}>",
                       f"one that returns floating-point numbers of the shape that it is given, {shape}")
        if not self.checked:  # once: it would hold up a GPU
            checks.require(bool(torch.isfinite(changed).all()), "recipe.augment", "<a function that returned NaN or an "
                           "infinity>", "one that returns finite numbers")
            self.checked = True


def sample_batches(x: Rows, device: torch.device | str, *, augment: bool = False,
                   padding: int = PADDING) -> ImageBatches | RowBatches:
    """Standardised images, or rows of features, on a device."""
    if x.ndim == 4:
        return ImageBatches(x, device, augment=augment, padding=padding)
    checks.require(not augment, "recipe.augment", augment, "False, or a function, for rows of features")
    return RowBatches(x, device)


@entry
def standardise(x: Rows, x_test: Rows | None) -> tuple[Rows, Rows | None]:
    """Both sets minus the mean and over the standard deviation of `x`, in float32: by channel, or by feature for rows.

    Where `x_test` is None, so is the second.
    """
    checks.require(x.ndim in (2, 4) and x.size > 0, "x.shape", x.shape, "(n, channels, height, width) or (n, p), not "
                   "empty")
    fits = x_test is None or x_test.shape[1:] == x.shape[1:]
    checks.require(fits, "x_test.shape", fits or x_test.shape, f"(n, {', '.join(map(str, x.shape[1:]))}), as of x")
    mean, std = _scale(x)
    return tuple(None if part is None else ((part - mean) / std).astype(np.float32) for part in (x, x_test))


def _scale(x: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation, 1 where it is 0, by channel of images or by feature of rows."""
    if x.ndim == 2:
        x = x.astype(np.float64)  # features may be large, and a constant one has to give 0
    axes = (0, *range(2, x.ndim))
    mean, std = x.mean(axes, keepdims=True), x.std(axes, keepdims=True)
    return mean, np.where(std > 0, std, 1)


def labelled_data(data: LabelledData | Dataset) -> LabelledData:
    """`data`, or what `labelled_dataset` makes of a map-style Dataset of torch."""
    if isinstance(data, LabelledData):
        return data
    fits = hasattr(data, "__getitem__") and hasattr(data, "__len__") and not isinstance(data, (str, bytes))
    checks.require(fits and len(data) > 0, "data", data, "LabelledImages, LabelledFeatures or a torch Dataset with a "
                   "length, not empty")
    from helpers.data.own_arrays import labelled_dataset
    return labelled_dataset(data)
