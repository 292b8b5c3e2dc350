"""Areas over time as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from geoclass.monitor.tables import sum_areas
from geoclass.monitor.watch import Monitoring
from geoclass.report.charts import new_figure, save_figure


def draw_timeline(result: Monitoring, path: Path | str) -> None:
    """Draw hectares of each group over time, with 95 % intervals: PNG, SVG or PDF; OutputError."""
    colors = {c.group: c.color for c in reversed(result.stack.contract.legend.classes)}
    draw_areas(sum_areas(result, {"all": np.ones(result.area_ha.shape)}), colors, Path(path))


def draw_areas(areas: Mapping[str, np.ndarray], colors: Mapping[str, str], path: Path) -> None:
    """Draw the table `areas` of a monitor file: hectares of each group by date, with intervals.

    `colors` gives `#rrggbb` by group. Raises OutputError where it cannot be written.
    """
    figure = new_figure(8, 4.2)
    axes = figure.subplots()
    inside = areas["zone"] == "all"
    for group in dict.fromkeys(areas["group"][inside]):
        rows = inside & (areas["group"] == group)
        days = areas["date"][rows].astype("datetime64[D]")
        axes.fill_between(
            days, areas["low_ha"][rows], areas["high_ha"][rows], color=colors[group], alpha=0.25
        )
        axes.plot(days, areas["area_ha"][rows], color=colors[group], marker="o", ms=3, label=group)
    axes.set(ylabel="hectares", ylim=(0, None))
    axes.set_title("Area by group, and what the class probabilities leave open (95 %)", size=10)
    axes.grid(alpha=0.3)
    figure.autofmt_xdate()
    figure.legend(loc="outside lower center", ncols=5, frameon=False)
    save_figure(figure, path)
