"""The page in a real browser, clicked through as a person would."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from geoclass.contract import Contract
from geoclass.landcover import LandCoverMap
from geoclass.legend import EUROSAT, MASKED, Legend
from geoclass.monitor.change import change_maps, write_change
from geoclass.monitor.files import write_monitor
from geoclass.monitor.history import monitor_maps
from geoclass.products.files import write_map
from geoclass.report.page.render import write_report
from tests.conftest import make_contract, make_landcover, paint
from tests.monitor.scenes import make_map, yearly

DESK = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{ 7*7 }}</script>"

Make = Callable[..., Path]


@dataclass
class Opened:
    """A page, and what it did beside showing itself."""

    page: Page
    noise: list[str] = field(default_factory=list)
    """Errors, warnings, dialogues and requests for anything but the file itself."""

    def drawn(self) -> int:
        """Cells that are painted."""
        return int(
            self.page.locator("canvas.cells").last.evaluate(
                "canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, "
                "canvas.height).data.filter((value, i) => i % 4 === 3 && value > 0).length"
            )
        )

    @property
    def readout(self) -> str:
        return str(self.page.locator(".readout").text_content())


@pytest.fixture
def look(browser: Browser) -> Iterator[Callable[..., Opened]]:
    contexts = []

    def open_page(path: Path, size: dict[str, int] = DESK, scheme: str = "light") -> Opened:
        context = browser.new_context(viewport=size, color_scheme=scheme, has_touch=size == PHONE)
        contexts.append(context)
        opened = Opened(page=context.new_page())
        page, noise = opened.page, opened.noise
        page.on("console", lambda message: noise.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: noise.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (noise.append("dialogue"), dialog.dismiss()))
        page.on("request", lambda request: note(request.url))

        def note(url: str) -> None:
            if not url.startswith("data:") and url != path.as_uri():
                noise.append(f"request: {url}")

        page.goto(path.as_uri())
        page.wait_for_selector("body.ready")
        return opened

    yield open_page
    for context in contexts:
        context.close()


def spell(contract: Contract, **titles: str) -> Contract:
    """The contract with other titles of classes."""
    classes = [replace(c, title=titles.get(c.name, c.title)) for c in EUROSAT.classes]
    return replace(contract, legend=Legend(classes=tuple(classes)))


@pytest.fixture
def dated(make_scene: Make, tmp_path: Path) -> Path:
    """Two dates of one place, the second with a scene behind it."""
    first = make_landcover(4, 5, seed=1)
    second = make_landcover(4, 5, seed=2)
    told = replace(second.provenance, date="2021-06-01", scene="later.tif", fingerprint="x")
    write_map(first, tmp_path / "first.gpkg")
    write_map(replace(second, provenance=told), tmp_path / "second.tif")
    pixels = paint([[0, 1, 2, 3, 4]] * 4)[:, : first.grid.height, : first.grid.width]
    scene = make_scene(pixels, "later.tif")
    page = tmp_path / "page.html"
    write_report([tmp_path / "second.tif", tmp_path / "first.gpkg"], page, scenes=[str(scene)])
    return page


@pytest.fixture
def watched(tmp_path: Path) -> Path:
    """A place that loses forest in the third of five years."""
    f, c = 1, 0
    before, after = [[f, f, f], [f, f, MASKED]], [[c, f, f], [f, f, f]]
    write_monitor(monitor_maps(yearly(before, before, after, after, after)), tmp_path / "m.gpkg")
    write_report([tmp_path / "m.gpkg"], tmp_path / "page.html")
    return tmp_path / "page.html"


@pytest.fixture
def changed(tmp_path: Path) -> Path:
    old = make_map([[1, 1, 9]], "2020-06-01")
    new = make_map([[1, 0, MASKED]], "2021-06-01", sure=0.99)
    write_change(change_maps(old, new), tmp_path / "c.gpkg")
    write_report([tmp_path / "c.gpkg"], tmp_path / "page.html")
    return tmp_path / "page.html"


@pytest.fixture
def places(tmp_path: Path) -> Path:
    """A map, and another of a scene that does not say where it lies."""
    here = make_landcover(3, 4)
    nowhere = make_landcover(3, 4, seed=5)
    nowhere = replace(nowhere, grid=replace(nowhere.grid, crs=None))
    write_map(here, tmp_path / "here.gpkg")
    write_map(nowhere, tmp_path / "nowhere.tif")
    write_report([tmp_path / "here.gpkg", tmp_path / "nowhere.tif"], tmp_path / "page.html")
    return tmp_path / "page.html"


def test_pixels_without_a_place_have_shares_but_no_hectares(
    look: Callable[..., Opened], places: Path
) -> None:
    opened = look(places)
    page = opened.page
    page.get_by_role("link", name="scene.tif (2)").click()
    assert page.locator(".leaflet-control-scale").count() == 1
    section = page.locator("#place-2")
    section.locator(".map").click()
    text = str(section.locator(".readout").text_content())
    assert "row 1" in text
    assert " ha" not in text
    shares = section.locator(".classes .share").all_text_contents()
    assert sum(float(share.rstrip("%")) for share in shares) == pytest.approx(100, abs=0.6)
    assert opened.noise == []


def test_a_page_asks_for_nothing_and_complains_of_nothing(
    look: Callable[..., Opened], dated: Path
) -> None:
    opened = look(dated)
    opened.page.wait_for_timeout(300)
    assert opened.noise == []
    shown = opened.page.locator("img.leaflet-image-layer")
    assert shown.count() == 1
    assert shown.evaluate("image => image.naturalWidth") > 200


def test_legend_hides_and_shows_classes(look: Callable[..., Opened], dated: Path) -> None:
    opened = look(dated)
    page = opened.page
    every = opened.drawn()
    assert every == 19  # of 20, one is nodata
    page.get_by_role("checkbox", name="Masked").uncheck()
    assert opened.drawn() == every - 1
    page.get_by_role("button", name="None").click()
    assert opened.drawn() == 0
    page.get_by_role("button", name="All").click()
    assert opened.drawn() == every
    page.get_by_role("radio", name="Confidence").check()
    assert opened.drawn() == every - 1  # a masked cell has none
    expect(page.get_by_role("list", name="Confidence")).to_be_visible()


def test_dates_slide_by_keyboard_and_by_button(look: Callable[..., Opened], dated: Path) -> None:
    page = look(dated).page
    now = page.locator(".shown-date")
    assert now.text_content() == "2021-06-01"
    expect(page.get_by_role("heading", name="2020-06-01")).to_be_hidden()
    page.get_by_label("Date", exact=True).press("ArrowLeft")
    assert now.text_content() == "2020-06-01"
    expect(page.get_by_role("heading", name="2020-06-01")).to_be_visible()
    expect(page.get_by_role("heading", name="2021-06-01")).to_be_hidden()
    page.get_by_role("button", name="Later").click()
    assert now.text_content() == "2021-06-01"


def test_tables_that_are_wider_than_a_phone_say_so(
    look: Callable[..., Opened], watched: Path
) -> None:
    wide = look(watched, PHONE).page.locator(".scroll.more")
    assert wide.count() > 0
    said = wide.first.evaluate("frame => getComputedStyle(frame, '::before').content")
    assert "Scroll sideways" in said
    assert look(watched).page.locator(".scroll.more").count() == 0


def test_a_tap_tells_of_a_cell(look: Callable[..., Opened], dated: Path) -> None:
    opened = look(dated, PHONE)
    opened.page.locator(".map").tap()
    assert "confidence" in opened.readout
    assert " ha · row 1, column 2" in opened.readout
    assert opened.page.locator(".leaflet-overlay-pane path").count() == 2  # the cell is marked


def test_what_a_pointer_sees_is_what_the_map_holds(
    look: Callable[..., Opened], tmp_path: Path
) -> None:
    landcover = make_landcover(4, 5, seed=3)
    write_map(landcover, tmp_path / "map.gpkg")
    write_report([tmp_path / "map.gpkg"], tmp_path / "page.html")
    opened = look(tmp_path / "page.html")
    box = opened.page.locator("canvas.cells").bounding_box()
    assert box is not None
    for row, col in ((0, 0), (0, 1), (1, 3), (3, 4)):
        place = (
            box["x"] + box["width"] * (col + 0.3) / 5,
            box["y"] + box["height"] * (row + 0.3) / 4,
        )
        opened.page.mouse.move(*place)
        code = int(landcover.class_id[row, col])
        text = opened.readout
        assert f"row {row}, column {col}" in text
        assert f"{landcover.grid.areas_ha()[row, col]:.1f} ha" in text
        if code < len(EUROSAT):
            assert text.startswith(EUROSAT[code].title)
            assert f"confidence {round(100 * landcover.confidence[row, col])} %" in text
        else:
            assert text.startswith(
                {(0, 0): "Unknown · most probable", (0, 1): "Masked · because of cloud"}[row, col]
            )


def test_the_map_works_by_keyboard(look: Callable[..., Opened], dated: Path) -> None:
    opened = look(dated)
    page = opened.page
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # skip to the maps
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className").startswith("map")
    page.keyboard.press("ArrowRight")
    start = opened.readout
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert "row 1, column 2" in start
    assert "row 2, column 3" in opened.readout
    assert "row 2, column 3" in str(page.get_by_role("status").text_content())
    scale = page.locator(".leaflet-control-scale-line")
    before = scale.text_content()
    page.keyboard.press("+")
    expect(scale).not_to_have_text(str(before))
    page.keyboard.press("0")
    expect(scale).to_have_text(str(before))
    page.keyboard.press("Escape")
    assert opened.readout == "Point at a cell, or tap it."
    assert opened.noise == []


def test_two_dates_are_swiped(look: Callable[..., Opened], dated: Path) -> None:
    opened = look(dated)
    page = opened.page
    swipe = page.get_by_label("Position of the divider")
    expect(swipe).to_be_hidden()
    assert page.locator("canvas.cells").count() == 1
    page.get_by_label("Swipe with").select_option("2020-06-01")
    assert page.locator("canvas.cells").count() == 2
    box = page.locator(".map").bounding_box()
    divider = page.locator(".divider").bounding_box()
    assert box is not None
    assert divider is not None
    assert divider["x"] == pytest.approx(box["x"] + box["width"] / 2, abs=3)
    assert page.locator(".side").all_text_contents() == ["2020-06-01", "2021-06-01"]
    before, after = (side.bounding_box() for side in page.locator(".side").all())
    assert before is not None
    assert after is not None
    assert before["x"] + before["width"] < divider["x"] < after["x"]
    swipe.press("End")
    divider = page.locator(".divider").bounding_box()
    assert divider is not None
    assert divider["x"] > box["x"] + box["width"] - 40
    page.get_by_label("Swipe with").select_option("the scene")
    assert page.locator(".side").all_text_contents() == ["Scene", "Map"]
    assert page.locator("canvas.cells").count() == 1
    assert page.locator("img.leaflet-image-layer").count() == 2
    page.get_by_label("Swipe with").select_option("nothing")
    expect(swipe).to_be_hidden()
    assert opened.noise == []


def test_opacity_is_that_of_the_cells(look: Callable[..., Opened], dated: Path) -> None:
    page = look(dated).page
    page.get_by_label("Opacity").press("Home")
    pane = page.locator(".leaflet-cellsRight-pane")
    assert pane.evaluate("pane => pane.style.opacity") == "0"


def test_alerts_come_with_their_date(look: Callable[..., Opened], watched: Path) -> None:
    opened = look(watched)
    page = opened.page
    outlines = page.locator(".leaflet-overlay-pane path")
    assert outlines.count() == 2
    page.get_by_role("checkbox", name="Alerts").uncheck()
    assert outlines.count() == 0
    page.get_by_role("checkbox", name="Alerts").check()
    page.get_by_label("Date", exact=True).press("Home")
    assert page.locator(".shown-date").text_content() == "2015-06-01"
    assert outlines.count() == 0
    page.get_by_role("button", name="Show alert 1 on the map").click()
    assert page.locator(".shown-date").text_content() == "2017-06-01"
    assert outlines.count() == 2
    page.keyboard.press("ArrowUp")  # the map has the focus now
    assert "Annual crop" in opened.readout or "Forest" in opened.readout
    assert opened.noise == []


def test_a_cell_tells_what_the_days_map_said(look: Callable[..., Opened], watched: Path) -> None:
    opened = look(watched)
    opened.page.get_by_label("Date", exact=True).press("Home")
    box = opened.page.locator("canvas.cells").bounding_box()
    assert box is not None
    opened.page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 0.8 * box["height"])
    assert "map of this date: Masked" in opened.readout


def test_change_is_a_colour_of_its_own(look: Callable[..., Opened], changed: Path) -> None:
    opened = look(changed)
    assert opened.drawn() == 3
    opened.page.get_by_role("radio", name="Probability of change").check()
    assert opened.drawn() == 2
    expect(opened.page.get_by_role("list", name="Probability of change")).to_be_visible()
    assert opened.noise == []


def test_evil_names_are_only_names(look: Callable[..., Opened], tmp_path: Path) -> None:
    landcover = make_landcover(3, 4)
    told = replace(
        landcover.provenance, scene=EVIL, command=EVIL, warnings=(EVIL,), masked_by=(EVIL,)
    )
    evil: LandCoverMap = replace(
        landcover,
        contract=spell(make_contract(), Forest=EVIL),
        provenance=told,
        class_id=np.full_like(landcover.class_id, 1),
    )
    write_map(evil, tmp_path / "evil.tif")
    write_report([tmp_path / "evil.tif"], tmp_path / "page.html", title=EVIL)
    opened = look(tmp_path / "page.html")
    page = opened.page
    page.locator(".map").hover()
    page.wait_for_timeout(300)
    assert opened.noise == []
    assert page.title() == EVIL
    assert opened.readout.startswith(EVIL)
    assert page.locator("h1").text_content() == EVIL
    assert page.get_by_role("checkbox", name=EVIL).count() == 1


@pytest.mark.parametrize(
    ("kind", "size", "scheme"),
    [
        ("dated", DESK, "light"),
        ("watched", DESK, "dark"),
        ("watched", PHONE, "light"),
        ("changed", PHONE, "dark"),
        ("places", PHONE, "light"),
    ],
)
def test_everybody_can_use_it(
    look: Callable[..., Opened],
    request: pytest.FixtureRequest,
    kind: str,
    size: dict[str, int],
    scheme: str,
) -> None:
    page = look(request.getfixturevalue(kind), size, scheme).page
    for details in page.locator("details").all():
        details.evaluate("element => { element.open = true }")
    found = Axe().run(page).response["violations"]
    assert [f"{v['id']} ({v['impact']}): {v['nodes'][0]['html']}" for v in found] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]


def test_paper_gets_the_whole_map(look: Callable[..., Opened], dated: Path) -> None:
    page = look(dated).page
    content = page.pdf(format="A4")
    assert content.startswith(b"%PDF")
    printed = page.locator("img.printed")
    assert printed.evaluate("image => Math.max(image.naturalWidth, image.naturalHeight)") == 1600
    page.emulate_media(media="print")
    expect(printed).to_be_visible()
    expect(page.locator(".panel")).to_be_hidden()
