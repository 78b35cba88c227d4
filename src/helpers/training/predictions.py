"""What a trained network says of images: logits, classes; and the pixels as it takes them."""

import numpy as np
import torch

from helpers import checks

MEASURE_BATCH = 1000  # images in one forward pass when measuring: bounds the memory of the activations


def outputs(model, x, *, epoch=None, n_classes=2):
    """f (n,) or logits (n, K) of each image in evaluation mode, a float64 CPU tensor.

    x : a tensor of images or DeviceImages. Raises ValueError for another shape, FloatingPointError if a value is not
    finite.
    """
    model.eval()
    with torch.no_grad():
        f = torch.cat([model(part) for part in x.split(MEASURE_BATCH)])
    wanted = [(len(x), n_classes)] + [(len(x),)] * (n_classes == 2)
    checks.require(tuple(f.shape) in wanted, "model", f"<outputs of shape {tuple(f.shape)}>",
                   f"a module with outputs of shape {' or '.join(map(str, wanted))}")
    require_finite(f, epoch)
    return f.double()


def predicted(f):
    """(n,) positions of the predicted classes; one output predicts the second where it is positive."""
    return ((f > 0).long() if f.ndim == 1 else f.argmax(1)).cpu().numpy()


def standardise(x, x_test):
    """Both sets of images minus the mean and over the standard deviation of x, channel by channel (float32)."""
    mean, std = x.mean((0, 2, 3), keepdims=True), x.std((0, 2, 3), keepdims=True)
    std = np.where(std > 0, std, 1)
    return tuple(((images - mean) / std).astype(np.float32) for images in (x, x_test))


def require_finite(values, epoch):
    """Raise FloatingPointError if one of `values` is not finite."""
    if not bool(torch.isfinite(values).all()):
        raise FloatingPointError(f"the training diverged in epoch {epoch}: a smaller lr may help")
