"""A fingerprint of data: whether a table of samples speaks of these samples, in this order."""

import hashlib
import json

from helpers import checks
from helpers.data.images import LabelledData, class_index


def fingerprint(data: LabelledData) -> str:
    """SHA-256, in hexadecimal digits, of the training samples of `data` in their order.

    What counts: pixels or features, observed labels, the names of the classes, and the names of the samples. True
    labels, the test set and the name of the data do not: a table of suspects is read from none of them.

    Parameters
    ----------
    data
        images or features.

    Examples
    --------
    >>> from helpers.data import load_digits
    >>> from helpers.practice.fingerprint import fingerprint
    >>> data = load_digits(n_train=20)
    >>> fingerprint(data) == fingerprint(load_digits(n_train=20)), fingerprint(data) == fingerprint(data.subset(19))
    (True, False)
    """
    checks.instance("data", data, LabelledData)
    labels = class_index(data.y_obs, data.n_classes)
    told = {"shape": data.x.shape, "classes": [repr(name) for name in data.classes], "files": data.files}
    digest = hashlib.sha256(json.dumps(told).encode())
    digest.update(data.x.astype("<f4", copy=False).tobytes())
    digest.update(labels.astype("<i8", copy=False).tobytes())
    return digest.hexdigest()
