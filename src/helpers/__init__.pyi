from .data.signal_noise import Sample as Sample, SignalNoise as SignalNoise
from .engine.descent import descend as descend
from .engine.network_decomposition import TwoLayerCNN as TwoLayerCNN, decompose as decompose
from .record import Record as Record
from .streams import random_stream as random_stream
from .sweeps.grid import sweep as sweep
from .theory.limit import LimitLaw as LimitLaw, limit_law as limit_law
from .training.loop import fit as fit
