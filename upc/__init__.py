"""upc: describe an upsampling network once; get Keras, PyTorch or fast Numba code, or just run it."""

from __future__ import annotations

# The function, not the module of that name: `upc.load("net.upc")` is how a program uses upc.
from upc.extend import register
from upc.load import Net, load

__version__ = "0.1.0"
__all__ = ["Net", "__version__", "load", "register"]
