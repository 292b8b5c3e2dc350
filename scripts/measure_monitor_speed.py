#!/usr/bin/env python3
"""Time the smoothing of a million cells over twelve dates, and the writing of what it found.

python scripts/measure_monitor_speed.py tests/monitor/error_pool.npz monitor.gpkg
"""

import argparse
import resource
import time
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
from simulate_change import make_world, observe, read_pool

from geoclass.monitor.align import stack_maps
from geoclass.monitor.files import write_monitor
from geoclass.monitor.history import monitor_stack
from geoclass.monitor.markov import form_belief, smooth_cells
from geoclass.monitor.settings import MonitorSettings

SIDE, REPEATS = 500, 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pool", type=Path)
    parser.add_argument("target", type=Path)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    maps = observe(rng, make_world(rng, SIDE, 0.01), read_pool(args.pool), cloud=0.2)
    small = stack_maps(maps)
    # Six dates of a quarter of the cells, repeated in space and once more in time.
    stack = replace(
        small,
        grid=replace(small.grid, height=small.grid.height * 2, width=small.grid.width * 2),
        dates=tuple(date(2012 + i, 7, 1) for i in range(12)),
        scenes=small.scenes * 2,
        fingerprints=small.fingerprints * 2,
        missions=small.missions * 2,
        probabilities=np.tile(small.probabilities.repeat(2, axis=0), (1, REPEATS, REPEATS, 1)),
        class_id=np.tile(small.class_id.repeat(2, axis=0), (1, REPEATS, REPEATS)),
    )
    del maps, small
    settings = MonitorSettings()
    cells = np.arange(stack.grid.rows * stack.grid.cols)
    area = stack.grid.areas_ha().ravel()
    started = time.perf_counter()
    smooth_cells(stack, form_belief(stack.contract, settings.series), cells, area)
    print(f"{len(cells)} cells × {len(stack.dates)} dates")
    print(f"smoothing            {time.perf_counter() - started:6.1f} s", flush=True)
    started = time.perf_counter()
    result = monitor_stack(stack, settings)
    print(f"with alerts, history {time.perf_counter() - started:6.1f} s", flush=True)
    started = time.perf_counter()
    write_monitor(result, args.target)
    print(f"writing              {time.perf_counter() - started:6.1f} s")
    print(f"file                 {args.target.stat().st_size / 1e6:6.0f} MB")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"peak memory          {peak:6.2f} GB")


if __name__ == "__main__":
    main()
