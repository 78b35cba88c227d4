"""Signal First, Noise Later: what the chapters share. Flat modules, one idea each."""

from helpers.descent import descend
from helpers.limit import LimitLaw, limit_law
from helpers.network import TwoLayerCNN, decompose
from helpers.record import Record
from helpers.signal_noise import Sample, SignalNoise
from helpers.sweep import sweep

__all__ = ["LimitLaw", "Record", "Sample", "SignalNoise", "TwoLayerCNN", "decompose", "descend", "limit_law", "sweep"]
