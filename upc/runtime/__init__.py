"""What a generated Numba module carries with it: kernels, memory, threads, and the object a user calls."""
