"""What PyTorch does not have, first values, and the setting of weights."""
