"""Data: what networks learn from. The signal-noise world, image data sets, and kinds of label noise."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)  # the public names stand in __init__.pyi
