"""What is asked of the cells of a strip."""

import numpy as np

from geoclass.mapping.cells import fill_invalid


def test_missing_pixels_take_the_nearest_value() -> None:
    tile = np.zeros((3, 4, 6), np.uint8)
    tile[:, :, :3] = np.array([10, 20, 30])[:, None, None]
    tile[:, 0, 2] = (11, 21, 31)
    valid = np.zeros((4, 6), bool)
    valid[:, :3] = True
    fill_invalid(tile, valid)
    assert (tile[:, 0, 2:] == np.array([[11], [21], [31]])).all()
    assert (tile[:, 2:, 3:] == np.array([10, 20, 30])[:, None, None]).all()
    assert (tile[:, 1:, :3] == np.array([10, 20, 30])[:, None, None]).all()
