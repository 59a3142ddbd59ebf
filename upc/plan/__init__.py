"""Graph -> Plan, for Numba: which kernels make a network, and where its values lie."""
