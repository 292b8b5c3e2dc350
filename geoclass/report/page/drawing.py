"""Numbers to the coordinates of small drawings: what the page's SVG is made of."""

from __future__ import annotations

from dataclasses import dataclass

from geoclass.report.page.sheet import Curve

WIDTH, HEIGHT = 300.0, 110.0
LEFT, RIGHT, TOP, BOTTOM = 6.0, 294.0, 14.0, 88.0
"""The inside of a drawing, in its own units."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """Of a histogram."""

    x: float
    y: float
    width: float
    height: float
    low: int
    """Percent of confidence."""
    high: int
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A curve, with the band of its interval."""

    points: str
    band: str
    dots: tuple[tuple[float, float], ...]
    highest: float
    """Hectares at the top."""


def draw_histogram(shares: tuple[float, ...]) -> tuple[Bar, ...]:
    """Bars that fill the drawing, the highest to the top."""
    step = (RIGHT - LEFT) / len(shares)
    highest = max(*shares, 1e-9)
    bars = []
    for i, share in enumerate(shares):
        height = (BOTTOM - TOP) * share / highest
        bars.append(
            Bar(
                x=round(LEFT + i * step + 1, 2),
                y=round(BOTTOM - height, 2),
                width=round(step - 2, 2),
                height=round(height, 2),
                low=round(100 * i / len(shares)),
                high=round(100 * (i + 1) / len(shares)),
                share=share,
            )
        )
    return tuple(bars)


def draw_curve(curve: Curve) -> Line:
    """From zero hectares at the bottom to the highest at the top."""
    first, last = curve.days[0].toordinal(), curve.days[-1].toordinal()
    highest = max(*curve.area_ha, *curve.high_ha, 1e-9)

    def locate(i: int, area_ha: float) -> tuple[float, float]:
        across = (curve.days[i].toordinal() - first) / max(1, last - first)
        return (
            round(LEFT + (RIGHT - LEFT) * across, 2),
            round(BOTTOM - (BOTTOM - TOP) * area_ha / highest, 2),
        )

    dots = tuple(locate(i, area) for i, area in enumerate(curve.area_ha))
    upper = [locate(i, area) for i, area in enumerate(curve.high_ha)]
    lower = [locate(i, area) for i, area in enumerate(curve.low_ha)]
    return Line(
        points=_join(dots), band=_join([*upper, *reversed(lower)]), dots=dots, highest=highest
    )


def _join(points: list[tuple[float, float]] | tuple[tuple[float, float], ...]) -> str:
    return " ".join(f"{x:g},{y:g}" for x, y in points)
