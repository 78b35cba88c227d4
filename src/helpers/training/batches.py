"""Images on the device where a network trains: standardised once, augmented in batches by one gather."""

from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float, Int
from torch.nn.functional import pad

PADDING = 4  # pixels around an image in which a crop of its own size may lie, as usual for CIFAR-10


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

    def split(self, size: int) -> Iterator[Float[torch.Tensor, "part channels height width"]]:
        """The whole set in order, never augmented, `size` images at a time."""
        edge, (height, width) = self.padding, self.shape[2:]
        for part in self.images.split(size):
            yield part[:, edge:edge + height, edge:edge + width].permute(0, 3, 1, 2)


def standardise(x: Float[np.ndarray, "n channels height width"],
                x_test: Float[np.ndarray, "n_test channels height width"]
                ) -> tuple[Float[np.ndarray, "n channels height width"],
                           Float[np.ndarray, "n_test channels height width"]]:
    """Both sets of images minus the mean and over the standard deviation of `x`, channel by channel, in float32."""
    mean, std = x.mean((0, 2, 3), keepdims=True), x.std((0, 2, 3), keepdims=True)
    std = np.where(std > 0, std, 1)
    return tuple(((images - mean) / std).astype(np.float32) for images in (x, x_test))
