"""Random streams: one independent generator for each seed and purpose."""

import zlib

import numpy as np

from helpers import checks
from helpers.entry import entry


@entry(own=("seed",))
def random_stream(seed: int | np.integer, stream: str) -> np.random.Generator:
    """An independent numpy Generator for each pair of a seed and a stream's name.

    Every draw in this package names its stream. Data and initial weights that share a seed would
    otherwise share their normals, and the network would start aligned with its own training noise.

    Parameters
    ----------
    seed
        an integer >= 0.
    stream
        the name of the purpose, such as "label noise".

    Raises
    ------
    ValueError
        If the seed is no integer >= 0.

    Examples
    --------
    >>> from helpers import random_stream
    >>> random_stream(0, "coins").integers(2, size=5).tolist()
    [1, 0, 0, 1, 1]
    >>> random_stream(0, "weights").integers(2, size=5).tolist()
    [0, 1, 1, 0, 0]
    """
    return np.random.default_rng([zlib.crc32(stream.encode()), checks.integer("seed", seed, 0)])
