"""What written modules of Keras and PyTorch carry with them, as those of Numba carry `upc.runtime`.

A module takes the functions and classes that it uses, as they stand here. These files import their
framework, so upc never imports them, and have the 100 columns of what upc writes.
"""
