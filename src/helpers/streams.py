"""Random streams: one independent generator for each seed and purpose."""

import zlib

import numpy as np

from helpers import checks


def random_stream(seed, stream):
    """An independent numpy Generator for each pair of an integer seed >= 0 and a stream's name.

    Every draw in this package names its stream. Data and initial weights that share a seed would
    otherwise share their normals, and the network would start aligned with its own training noise.
    """
    return np.random.default_rng([zlib.crc32(stream.encode()), checks.integer("seed", seed, 0)])
