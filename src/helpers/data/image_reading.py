"""Image files, of which paths and labels are known, as LabelledImages."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int64
from tqdm import tqdm

from helpers import checks
from helpers.data.images import LabelledImages, class_labels
from helpers.entry import entry
from helpers.streams import random_stream

CHANNELS = {"RGB": 3, "L": 1}


@dataclass(frozen=True)
class FolderImages:
    """Some images before they are read.

    Attributes
    ----------
    files
        the images' paths.
    true, observed
        positions of their true and of their observed classes.
    names
        what the images are called: their paths below the folder of the data set, or their keys in its lists.
    """

    files: tuple[Path, ...]
    true: Int64[np.ndarray, " n"]
    observed: Int64[np.ndarray, " n"]
    names: tuple[str, ...]

    @entry
    def at(self, chosen: Int64[np.ndarray, " chosen"]) -> "FolderImages":
        """Those at the positions `chosen`."""
        inside = bool(((chosen >= 0) & (chosen < len(self.files))).all())
        checks.require(inside, "chosen", chosen, f"positions from 0 to {len(self.files) - 1}")
        files, names = (tuple(values[i] for i in chosen) for values in (self.files, self.names))
        return FolderImages(files, self.true[chosen], self.observed[chosen], names)

    @entry
    def some(self, n: int | None, seed: int, stream: str) -> "FolderImages":
        """`n` of them drawn at random, in their order; all if n is None."""
        if n is None:
            return self
        n = checks.integer(f"n_{stream}", n)
        checks.require(n <= len(self.files), f"n_{stream}", n, f"at most {len(self.files)}, the images there are")
        return self.at(np.sort(random_stream(seed, f"images read, {stream}").permutation(len(self.files))[:n]))


def draw_images(parts: dict[str, FolderImages], n_train: int | None, n_test: int | None, seed: int
          ) -> dict[str, FolderImages]:
    checks.require(n_test is None or "test" in parts, "n_test", n_test, "None where there is no test set: test_share=0")
    return {name: part.some({"train": n_train, "test": n_test}[name], seed, name) for name, part in parts.items()}


def read_images(name: str, classes: tuple[str, ...], parts: dict[str, FolderImages], noise: dict, size: int, mode: str,
          progress: bool, n_test_true: int | None = None) -> LabelledImages:
    size, channels = checks.integer("size", size), CHANNELS[checks.one_of("mode", mode, CHANNELS)]
    arrays = []
    for part in parts.values():
        x = np.empty((len(part.files), channels, size, size), np.float32)
        for i, file in enumerate(tqdm(part.files, desc="images", disable=not progress, leave=False)):
            x[i] = _read_image(file, size, mode)
        arrays.append((x, *(class_labels(index, len(classes)) for index in (part.true, part.observed))))
    (x, y, y_obs), (x_test, y_test, y_test_obs) = arrays if "test" in parts else (*arrays, (None, None, None))
    return LabelledImages(name, classes, x, y, x_test, y_test, y_obs, y_test_obs, noise, parts["train"].names,
                          n_test_true if "test" in parts else None)


def _read_image(file: Path, size: int, mode: str) -> Float32[np.ndarray, "channels {size} {size}"]:
    """Pixels in [0, 1]: turned upright, a square from the middle, scaled."""
    from PIL import Image, ImageOps

    checks.require(file.is_file(), "path", str(file), "an image of the data set, which is missing there")
    try:
        with Image.open(file) as image:
            checks.require(image.mode not in ("I", "F"), "path", str(file),
                           f"an image of bytes or of 16 bits, whose range is known; its mode is {image.mode!r}")
            upright = ImageOps.exif_transpose(image)
            if deep := image.mode.startswith("I;16"):  # `convert` would clip these at 255
                upright = Image.fromarray(np.asarray(upright).astype(np.float32) / 257)
            pixels = np.asarray(ImageOps.fit(upright if deep else opaque_image(upright).convert(mode), (size, size),
                                             Image.Resampling.BICUBIC))
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
        raise ValueError(f"path={str(file)!r}: must be an image that can be read, but "
                         f"{type(error).__name__}: {error}") from error
    pixels = np.moveaxis(np.atleast_3d(pixels), 2, 0) / np.float32(255)
    return np.broadcast_to(pixels.clip(0, 1), (CHANNELS[mode], size, size))


def opaque_image(image: "PIL.Image.Image") -> "PIL.Image.Image":  # noqa: F821
    """An image of PIL, what is transparent laid on white: `convert` would show the colour that a file keeps there."""
    from PIL import Image

    if "transparency" not in image.info and image.mode not in ("RGBA", "LA", "PA", "RGBa", "La"):
        return image
    image = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
