"""What a trained network says of samples: outputs, predicted classes and their probabilities."""

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import ArrayLike
from torch import nn
from torch.utils.data import Dataset

from helpers import checks
from helpers.data.images import LabelledData, LabelledImages
from helpers.entry import entry
from helpers.training.batches import ImageBatches, RowBatches, labelled_data, sample_batches, standardise
from helpers.training.losses import loss_logits

MEASURE_BATCH = 1000  # images in one forward pass when measuring: bounds the memory of the activations


@entry
def predicted_outputs(model: nn.Module, x: Float[torch.Tensor, "n ..."] | ImageBatches | RowBatches, *,
                      epoch: int | None = None, n_classes: int = 2) -> Float[torch.Tensor, " n"] | Float[torch.Tensor,
                                                                                                         "n K"]:
    """The outputs of a network for samples: f(x), or one logit per class.

    Parameters
    ----------
    model
        the network; it is left in evaluation mode.
    x
        standardised images or rows of features, on the network's device.
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
    checks.integer("n_classes", n_classes, 2)
    checks.require(len(x) > 0, "x", "<no sample>", "a sample or more")
    checks.require(epoch is None or epoch >= 0, "epoch", epoch, "None, or an epoch counted from 0")
    model.eval()
    with torch.no_grad():
        f = torch.cat([model(part) for part in x.split(MEASURE_BATCH)])
    wanted = [(len(x), n_classes)] + [(len(x),)] * (n_classes == 2)
    checks.require(tuple(f.shape) in wanted, "model", f"<outputs of shape {tuple(f.shape)}>",
                   f"a module with outputs of shape {' or '.join(map(str, wanted))}"
                   + (": squeeze(1) them" if tuple(f.shape) == (len(x), 1) else ""))
    require_finite_predictions(f, epoch)
    return f.double()


@entry(own=("model", "data"))
def class_probabilities(model: nn.Module, data: LabelledData | Dataset, *, x: ArrayLike | None = None
                        ) -> Float[np.ndarray, "n K"]:
    """Probabilities of the K classes, by a trained network, for the training samples of `data` or for others.

    Parameters
    ----------
    model
        as `fit` left it, in evaluation mode afterwards.
    data
        what it was trained on: its training samples say how to standardise.
    x
        samples like those of `data`, not standardised; the training samples by default, of whose probabilities those of
        `out_of_fold` are the honest ones.

    Examples
    --------
    >>> from helpers.data import load_digits
    >>> from helpers.training import SmallCNN, class_probabilities
    >>> data = load_digits(n_train=60)
    >>> class_probabilities(SmallCNN(data.image_shape, width=4), data, x=data.x_test[:5]).shape
    (5, 2)
    """
    data = labelled_data(data)
    checks.require(isinstance(model, nn.Module), "model", model, "a trained network, a torch.nn.Module")
    x = data.x if x is None else _checked_samples(x, data)
    weights = next(model.parameters(), torch.empty(0))
    f = predicted_outputs(model, sample_batches(standardise(data.x, x)[1], weights.device), n_classes=data.n_classes)
    return loss_logits(f).softmax(1).cpu().numpy()


def _checked_samples(x: ArrayLike, data: LabelledData) -> Float[np.ndarray, "n ..."]:
    samples = np.ascontiguousarray(x, dtype=np.float32)
    checks.require(samples.shape[1:] == data.x.shape[1:] and len(samples) > 0, "x.shape", samples.shape,
                   f"(n, {', '.join(map(str, data.x.shape[1:]))}), as the training samples")
    low, high = (0, 1) if isinstance(data, LabelledImages) else (-np.finfo(np.float32).max, np.finfo(np.float32).max)
    inside = bool(samples.min() >= low and samples.max() <= high)  # false for NaN
    checks.require(inside, "x", f"<from {samples.min()} to {samples.max()}>",
                   "pixels in [0, 1]" if high == 1 else "finite numbers")
    return samples


@entry
def predicted_classes(f: Float[torch.Tensor, " n"] | Float[torch.Tensor, "n K"]) -> Int[np.ndarray, " n"]:
    """Positions of the predicted classes; a single output f predicts the second class where it is positive."""
    return most_likely(f)


def most_likely(f: Float[torch.Tensor, " n"] | Float[torch.Tensor, "n K"]) -> Int[np.ndarray, " n"]:
    """`predicted_classes` within training, where outputs may turn NaN, of which the loop tells the epoch."""
    return ((f > 0).long() if f.ndim == 1 else f.argmax(1)).cpu().numpy()


def require_finite_predictions(values: Float[torch.Tensor, "..."], epoch: int | None) -> None:
    """Raise FloatingPointError if one of `values` is not finite."""
    if not bool(torch.isfinite(values).all()):
        raise FloatingPointError(f"the training diverged in epoch {epoch}: a smaller lr may help")
