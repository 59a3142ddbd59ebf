"""Layers that Keras does not have, and the setting of weights."""
