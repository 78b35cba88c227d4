"""What a trained network says of images: outputs and predicted classes."""

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import nn

from helpers import checks
from helpers.training.batches import ImageBatches

MEASURE_BATCH = 1000  # images in one forward pass when measuring: bounds the memory of the activations


def predicted_outputs(model: nn.Module, x: Float[torch.Tensor, "n channels height width"] | ImageBatches, *,
                      epoch: int | None = None, n_classes: int = 2) -> Float[torch.Tensor, " n"] | Float[torch.Tensor,
                                                                                                         "n K"]:
    """The outputs of a network for images: f(x), or one logit per class.

    Parameters
    ----------
    model
        the network; it is left in evaluation mode.
    x
        standardised images, on the network's device.
    epoch
        named in the error if the training has diverged.
    n_classes
        K. With two classes the network may have one output f or two logits.

    Returns
    -------
    Tensor
        In float64, on the network's device.

    Raises
    ------
    ValueError
        If the outputs have another shape.
    FloatingPointError
        If a value is not finite.

    Examples
    --------
    >>> import torch
    >>> from helpers.data import load_digits
    >>> from helpers.training import SmallCNN, predicted_outputs, standardise
    >>> data = load_digits(n_train=60)
    >>> x, x_test = standardise(data.x, data.x_test)
    >>> f = predicted_outputs(SmallCNN(data.image_shape, width=4), torch.from_numpy(x))
    >>> tuple(f.shape), f.dtype
    ((60,), torch.float64)
    """
    model.eval()
    with torch.no_grad():
        f = torch.cat([model(part) for part in x.split(MEASURE_BATCH)])
    wanted = [(len(x), n_classes)] + [(len(x),)] * (n_classes == 2)
    checks.require(tuple(f.shape) in wanted, "model", f"<outputs of shape {tuple(f.shape)}>",
                   f"a module with outputs of shape {' or '.join(map(str, wanted))}")
    require_finite_predictions(f, epoch)
    return f.double()


def predicted_classes(f: Float[torch.Tensor, " n"] | Float[torch.Tensor, "n K"]) -> Int[np.ndarray, " n"]:
    """Positions of the predicted classes; a single output f predicts the second class where it is positive."""
    return ((f > 0).long() if f.ndim == 1 else f.argmax(1)).cpu().numpy()


def require_finite_predictions(values: Float[torch.Tensor, "..."], epoch: int | None) -> None:
    """Raise FloatingPointError if one of `values` is not finite."""
    if not bool(torch.isfinite(values).all()):
        raise FloatingPointError(f"the training diverged in epoch {epoch}: a smaller lr may help")
