"""Engine: exact gradient descent on the signal-noise world and on its variants, explicit or through inner products."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)  # the public names stand in __init__.pyi
