"""Sums that do not depend on the order or the engine: every value is held as a whole number of 2**-40.

A value ``v`` with ``|v| < 2**53`` is ``floor(v)`` plus a fraction rounded to 2**-40 (about 1e-12). Whole numbers add
exactly, so a prefix sum in NumPy, a sum in SQL and one of Python integers give the same bits. What is smaller than
2**-41 adds nothing; that is the resolution of sums, means and standard deviations, not of minima and maxima.
"""

import math

import numpy as np

from trimtab.features.errors import TableProblem
from trimtab.features.rows import Floats, Ints

FRACTION_BITS = 40
ONE = 1 << FRACTION_BITS
LIMIT = 2.0**53


def limbs_of(values: Floats, *, where: str) -> tuple[Ints, Ints]:
    """Split floats into whole parts and fractions in units of 2**-40; raise ``TableProblem`` from 2**53 on."""
    outside = ~(np.abs(values) < LIMIT)
    if outside.any():
        raise TableProblem(
            f"{values[outside][0]} is too large to be added up exactly",
            where=where,
            why="Sums, means and deviations take values below 2**53 (about 9e15), and no infinities.",
            next="promise a range with tt.between(low, high), so that such rows are set aside",
        )
    whole = np.floor(values)
    fraction = np.rint((values - whole) * float(ONE))
    return whole.astype(np.int64), fraction.astype(np.int64)


def units_of(value: float) -> int:
    """Return one value as a whole number of 2**-40, the same as ``limbs_of`` does."""
    whole = math.floor(value)
    return (whole << FRACTION_BITS) + round((value - whole) * ONE)


def sum_of(units: int) -> float:
    """Return a sum of units as a float: whole and fraction are converted and added once."""
    return float(units >> FRACTION_BITS) + float(units & (ONE - 1)) * 2.0**-FRACTION_BITS


def sums_of(whole: Ints, fraction: Ints) -> Floats:
    """Return sums of limbs as floats, bit for bit as ``sum_of``; also of arrays of Python integers."""
    carried = whole + (fraction >> FRACTION_BITS)
    rest = fraction & (ONE - 1)
    total: Floats = carried.astype(np.float64) + rest.astype(np.float64) * 2.0**-FRACTION_BITS
    return total


def deviation_of(count: int, units: int, squares: int) -> float | None:
    """Return the sample standard deviation from exact sums; None below two values.

    ``squares`` is the sum of the squared units. The variance is one correctly rounded division of integers.
    """
    if count < 2:
        return None
    return math.sqrt((count * squares - units * units) / (count * (count - 1))) * 2.0**-FRACTION_BITS
