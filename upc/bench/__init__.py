"""Races between a net's Numba module and the frameworks, and the time of each of its steps.

Every engine runs in a process of its own. Whoever does not have the turn is stopped, so that no thread
pool spins beside the one that is timed.
"""
