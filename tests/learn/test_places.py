"""The table of where tiles lie."""

from __future__ import annotations

import pytest

from geoclass.learn.places import Place, add_places, parse_places

WOOD = {"wood/wood_a, b_0_1.png": Place(2.8123457, -42.3, 640)}
LAKE = {'a "lake"/ä.png': Place(-179.9999999, 0, 1280)}


def test_places_come_back() -> None:
    table = add_places(add_places("", WOOD, "a, b"), LAKE)
    assert parse_places(table) == WOOD | LAKE
    assert table.count('"a, b"') == 1
    assert table.count("longitude") == 1


def test_tables_of_other_programs() -> None:
    """Spreadsheets end lines in their way and add columns; order and case do not matter."""
    table = "Latitude,note,tile, Longitude\r\n42,x,a\\b.png,2.5\r\n\r\n42,x,a/b.png,2.5\r\n"
    assert parse_places(table) == {"a/b.png": (2.5, 42, 640)}
    more = add_places(table, WOOD)
    assert more.splitlines()[-1] == '-42.3000000,,"wood/wood_a, b_0_1.png",2.8123457'
    assert parse_places(more).keys() == {"a/b.png", *WOOD}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", "no column tile, only an empty header"),
        ("tile,lon,lat\na,1,2\n", "no column longitude, only tile, lon, lat"),
        ("tile;longitude;latitude\na;1;2\n", "no column tile, only tile;longitude;latitude"),
        (
            "tile,longitude,latitude\na,1,2\nb,1,91\n",
            "line 3 has an invalid place: .* latitude '91'",
        ),
        ("tile,longitude,latitude\na,nan,2\n", "line 2 has an invalid place"),
        ("tile,longitude,latitude\na,1\n", "line 2 has an invalid place: .* latitude ''"),
        ("tile,longitude,latitude\na,500000,4600000\n", "line 2 has an invalid place"),
        ("tile,longitude,latitude,side_m\na,1,2,0\n", "line 2 has an invalid place: .* side '0' m"),
        ("tile,longitude,latitude\n,1,2\n", "line 2 has no tile"),
        ("tile,longitude,latitude\na,1,2\na,1,3\n", "line 3 gives a a second place"),
        ('tile,longitude,latitude\n"a,1,2\nb,1,3\n', "line 3: unexpected end of data"),
    ],
)
def test_what_is_no_table_of_places(table: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_places(table)
    if table:
        with pytest.raises(ValueError, match=message):
            add_places(table, WOOD)
