"""Signal First, Noise Later: what the chapters share.

The hall (this folder's own modules) is used by all; each wing (a folder) holds one kind of thing. A name is loaded
when it is first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)  # the public names stand in __init__.pyi
