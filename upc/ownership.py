"""Arrays that belong to whoever they are given to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from upc.ir import Array


def apart(results: Sequence[Array], given: Iterable[Array] = ()) -> tuple[Array, ...]:
    """The results, copied where one shares memory with what was given, or with another before it, or is locked.

    A layer may give a view of its input, and a framework a view of what another result lies in: whoever then writes
    to one of these arrays would change another.
    """
    taken = list(given)
    for result in results:
        shared = not result.flags.writeable or any(np.may_share_memory(result, other) for other in taken)
        taken.append(result.copy() if shared else result)
    return tuple(taken[len(taken) - len(results) :])
