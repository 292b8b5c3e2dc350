"""The table of where tiles lie."""

from __future__ import annotations

import pytest

from geoclass.places import TilePlace, format_places, parse_places

PLACES = [
    TilePlace(tile="wood/wood_a, b_0_1.png", longitude=2.81234567, latitude=-42.3, scene="a, b"),
    TilePlace(tile='a "lake"/ä.png', longitude=-179.9999999, latitude=0.0, scene=""),
]


def test_places_come_back() -> None:
    text = format_places(PLACES[:1]) + format_places(PLACES[1:], header=False)
    assert parse_places(text) == {
        place.tile: pytest.approx((place.longitude, place.latitude), abs=1e-7) for place in PLACES
    }


def test_tables_of_other_programs() -> None:
    """Spreadsheets end lines in their way and add columns; order does not matter."""
    text = "latitude,note,tile,longitude\r\n42,x,a/b.png,2.5\r\n"
    assert parse_places(text) == {"a/b.png": (2.5, 42.0)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no column tile"),
        ("tile,lon,lat\na,1,2\n", "no column longitude"),
        ("tile;longitude;latitude\na;1;2\n", "no column tile"),
        ("tile,longitude,latitude\na,1,2\nb,1,91\n", "line 3 is no place: .* latitude '91'"),
        ("tile,longitude,latitude\na,nan,2\n", "line 2 is no place"),
        ("tile,longitude,latitude\na,1\n", "line 2 is no place: .* latitude None"),
        ("tile,longitude,latitude\na,500000,4600000\n", "line 2 is no place"),
    ],
)
def test_what_is_no_table_of_places(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_places(text)
