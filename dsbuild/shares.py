"""How sure a share is that was counted on a sample."""

from __future__ import annotations

import math

_Z95 = 1.959963984540054


def wilson(yes: int, n: int) -> tuple[float | None, float | None]:
    """The 95 % score interval of a share (E. B. Wilson 1927); None where nothing was judged.

    >>> [round(bound, 4) for bound in wilson(90, 100)], wilson(0, 0)
    ([0.8256, 0.9448], (None, None))
    """
    if not n:
        return None, None
    share, z2 = yes / n, _Z95**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = _Z95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    # The bounds at 0 and 1 are exact; only rounding would miss them.
    return 0.0 if yes == 0 else max(0.0, middle - half), 1.0 if yes == n else min(1.0, middle + half)
