"""Numbers reach a train function as the nearest that its types hold."""

import numpy as np
import pyarrow as pa

from trimtab.loop.frames import as_float


def test_a_whole_number_beyond_what_floats_hold_becomes_the_nearest():
    found = as_float(pa.array([2**53 + 1, None, 2**63 - 1, 3]))
    assert found.tolist()[0] == float(2**53 + 1)
    assert np.isnan(found[1])
    assert found.tolist()[2:] == [2.0**63, 3.0]
