"""Batches: augmented images, and their layout in memory."""

from dataclasses import replace

import numpy as np
import torch
from columns import SHORT

from helpers.training.batches import PADDING, ImageBatches
from helpers.training.loop import fit
from helpers.training.models import SmallCNN


def test_augmented_images_are_crops_and_mirror_images():
    """Each is one of the 81 crops of its padded image or of their mirror images, and about half are mirrored."""
    x = np.random.default_rng(0).random((40, 2, 8, 8)).astype(np.float32)
    augmented = ImageBatches(x, torch.device("cpu"), augment=True).batch(torch.arange(40), np.random.default_rng(1))
    padded = np.pad(x, ((0, 0), (0, 0), (PADDING, PADDING), (PADDING, PADDING)))
    mirrored = 0
    for image, around in zip(augmented.numpy(), padded):
        crops = {around[:, i:i + 8, j:j + 8].tobytes() for i in range(9) for j in range(9)}
        plain, turned = image.tobytes() in crops, np.ascontiguousarray(image[..., ::-1]).tobytes() in crops
        assert plain or turned
        mirrored += turned
    assert 8 <= mirrored <= 32  # 20 expected, within four standard deviations of 3.2


def test_crops_move_by_no_more_than_the_padding():
    x = np.random.default_rng(0).random((20, 1, 8, 8)).astype(np.float32)
    images = ImageBatches(x, torch.device("cpu"), augment=True, padding=1)
    around = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    for image, padded in zip(images.batch(torch.arange(20), np.random.default_rng(1)).numpy(), around):
        crops = [padded[:, i:i + 8, j:j + 8] for i in range(3) for j in range(3)]
        assert any(np.array_equal(image[..., ::side], crop) for crop in crops for side in (1, -1))
    assert all(torch.equal(part, torch.from_numpy(x)) for part in images.split(20))


def test_augmentation_trains_on_changed_images_and_measures_the_true_ones(three):
    seen = []

    class Watching(SmallCNN):
        def forward(self, x):
            seen.append((self.training, x.detach().clone()))
            return super().forward(x)

    plain, augmented = (fit(Watching(three.image_shape, width=4, n_outputs=3), three, replace(SHORT, augment=augment),
                            0)
                        for augment in (False, True))
    measured = [x for training, x in seen if not training]
    half = len(measured) // 2
    assert half and all(torch.equal(a, b) for a, b in zip(measured[:half], measured[half:]))
    trained = [x for training, x in seen if training]
    half = len(trained) // 2
    assert all(a.shape == b.shape and not torch.equal(a, b) for a, b in zip(trained[:half], trained[half:]))
    epoch = len(trained[half:]) // 3  # batches an epoch: crops differ from epoch to epoch
    assert not torch.equal(trained[half], trained[half + epoch])
    again = fit(SmallCNN(three.image_shape, width=4, n_outputs=3), three, replace(SHORT, augment=True), 0)
    assert np.array_equal(again.margins, augmented.margins) and not np.array_equal(plain.margins, augmented.margins)


def test_batches_are_channels_last(three):
    for augment in (False, True):
        store = ImageBatches(three.x.repeat(3, 1), torch.device("cpu"), augment=augment)
        x = store.batch(torch.arange(5), np.random.default_rng(0))
        assert x.is_contiguous(memory_format=torch.channels_last)
