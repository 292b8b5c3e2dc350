"""Windows of pictures."""

from __future__ import annotations

import numpy as np
import pytest

from geoclass.report.chips import _cut_window
from tests.monitor.scenes import make_map


@pytest.mark.parametrize("cell", [(0, 0), (0, 15), (15, 15), (7, 8)])
def test_cells_at_the_edge_have_a_window_of_a_tile_at_least(cell: tuple[int, int]) -> None:
    grid = make_map(np.ones((2, 2))).landcover.grid
    fine = type(grid)(
        height=grid.height, width=grid.width, transform=grid.transform, crs=grid.crs, stride=8
    )
    boxes, window = _cut_window(fine, np.array([cell]))
    assert min(window.height, window.width) >= 64
    (left, top, right, bottom) = boxes[0]
    assert (right - left, bottom - top) == (8, 8)
    assert 0 <= left < right <= window.width
    assert 0 <= top < bottom <= window.height
    x, y = window.transform @ (left, top)
    assert (x, y) == pytest.approx(fine.transform @ (8 * cell[1], 8 * cell[0]))
