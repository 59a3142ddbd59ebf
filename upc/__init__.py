"""upc: describe an upsampling network once; get Keras, PyTorch or fast Numba code, or just run it."""

from __future__ import annotations

__version__ = "0.1.0"
