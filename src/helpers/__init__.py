"""Signal First, Noise Later: what the chapters share. Flat modules, one idea each."""

from helpers.descent import descend
from helpers.network import TwoLayerCNN, decompose
from helpers.record import Record
from helpers.signal_noise import Sample, SignalNoise

__all__ = ["Record", "Sample", "SignalNoise", "TwoLayerCNN", "decompose", "descend"]
