# SPDX-License-Identifier: MIT
"""The arithmetic of the benchmark, and nothing else: no clocks, no processes.

Everything here is exact about small inputs, because tests/bench checks it by hand.
"""

import collections
import random

Spread = collections.namedtuple("Spread", "median q1 q3 n")


def quantile(values, q):
    """The q-quantile (0 to 1) by linear interpolation between the sorted values."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("a quantile of nothing")
    at = q * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def median(values):
    return quantile(values, 0.5)


def spread(values):
    values = list(values)
    return Spread(median(values), quantile(values, 0.25), quantile(values, 0.75), len(values))


def bootstrap_median(values, level=0.95, rounds=4000, seed=1):
    """A percentile bootstrap interval (low, high) of the median.

    The seed is fixed: the same measurements always give the same interval.
    """
    values = list(values)
    rng = random.Random(seed)
    medians = [median(rng.choices(values, k=len(values))) for _ in range(rounds)]
    tail = (1 - level) / 2
    return quantile(medians, tail), quantile(medians, 1 - tail)


def share(part, whole):
    """Per cent, or None where there is nothing to have a share of."""
    return 100 * part / whole if whole else None


def sample_ns(run_ns, hits, samples, other_ns):
    """What one sample of the target cost, when the program ran `hits` times for `run_ns` in all.

    Only `samples` of the hits were in the target; each of the others cost `other_ns`.
    """
    if samples <= 0:
        raise ValueError("no samples in the target")
    return (run_ns - (hits - samples) * other_ns) / samples


def slope(x1, y1, x2, y2):
    return (y2 - y1) / (x2 - x1)


def at_depth(ns, depth, frame_ns, wanted):
    """The cost at another depth, given what a frame costs."""
    return ns + (wanted - depth) * frame_ns
