"""The map job: a scene to a land-cover map, in a file or in memory."""

from collections.abc import Callable, Sequence
from pathlib import Path

from geoclass.errors import OutputError
from geoclass.files.writing import Target
from geoclass.landcover import LandCoverMap
from geoclass.mapping.pipeline import estimate_bytes, run_map
from geoclass.mapping.plan import MapPlan, fingerprint_request, plan_map
from geoclass.mapping.settings import MapRequest, MapSettings
from geoclass.model.checkpoint import Model, load_model
from geoclass.model.classifier import Classifier
from geoclass.products.files import check_placed, check_room, check_target, write_map
from geoclass.scene.open.arrays import Scene, give_path
from geoclass.scene.open.source import SceneSource, open_scene


def make_classifier(model: Model, request: MapRequest) -> Classifier:
    """The classifier of a request; SettingsError for an unavailable device."""
    return Classifier(
        model,
        device=request.device,
        batch_size=request.batch_size,
        symmetries=request.settings.symmetries,
        precision=request.settings.precision,
    )


def open_job(scene: str, output: Target, request: MapRequest) -> SceneSource:
    """Open a scene without reading pixels.

    Raises SceneError if it cannot be opened, OutputError if the output is one of its files.
    """
    source = open_scene(scene, request.bands)
    if isinstance(output, Path):
        is_read = output.resolve() in source.files
    else:
        parts = source.identity.get("files", [source.identity])
        is_read = str(output) in [part.get("path") for part in parts]
    if is_read:
        raise OutputError(
            f"the output {output} is the input, the map of {source.shown} would replace it: "
            "choose another output"
        )
    return source


def is_up_to_date(source: SceneSource, output: Target, request: MapRequest, model: Model) -> bool:
    """Whether the output is the map of the same unchanged scene, model and options.

    No pixel is read. Raises OutputError if the output must not be replaced, see `check_target`.
    """
    return check_target(
        output,
        request.map_format,
        fingerprint_request(source, model.sha256, model.contract.legend, request.settings),
        settings=request.form,
        redo=request.redo,
        overwrite=request.overwrite,
    )


def plan_job(
    scene: SceneSource | Path | str,
    output: Target | None,
    request: MapRequest,
    classifier: Classifier,
) -> MapPlan:
    """Plan the map of a scene, a name or an open source.

    Raises SceneError if it cannot be mapped, OutputError if the output cannot store the map.
    """
    plan = plan_map(scene, classifier.contract, classifier.sha256, request, classifier)
    if output is not None:
        check_placed(plan.grid, request.map_format, settings=request.form)
        check_room(output, estimate_bytes(plan, request.map_format, request.form))
    return plan


def map_job(
    scene: MapPlan | SceneSource | Path | str,
    output: Target | None,
    request: MapRequest,
    classifier: Classifier,
    *,
    on_cells: Callable[[int], object] = lambda _: None,
) -> LandCoverMap:
    """Map a scene, which may be a name, an open source or a plan, and write the map.

    An existing output is replaced; check it with `is_up_to_date` before. Without an output the map
    is only returned. `on_cells` gets the number of newly processed cells. Raises GeoclassError.
    """
    plan = scene
    if not isinstance(plan, MapPlan):
        plan = plan_job(plan, output, request, classifier)
    landcover = run_map(plan, classifier, on_cells=on_cells)
    if output is not None:
        write_map(landcover, output, request.map_format, settings=request.form)
    return landcover


def plan_scene(
    scene: Scene,
    model: Model | None = None,
    *,
    settings: MapSettings | None = None,
    bands: Sequence[int | str] | None = None,
    device: str | None = None,
) -> MapPlan:
    """Plan the map of a scene without making it; arguments as of `map_scene`.

    The plan has bands, radiometry, masks, grid, number of cells and warnings. Raises GeoclassError
    if the scene cannot be mapped.
    """
    request = MapRequest(
        settings=settings or MapSettings(),
        bands=None if bands is None else tuple(bands),
        device=device,
    )
    with give_path(scene) as path:
        return plan_job(path, None, request, make_classifier(model or load_model(), request))


def map_scene(
    scene: Scene,
    model: Model | None = None,
    *,
    settings: MapSettings | None = None,
    bands: Sequence[int | str] | None = None,
    device: str | None = None,
    batch_size: int | None = None,
    on_cells: Callable[[int], object] = lambda _: None,
) -> LandCoverMap:
    """Map a scene with a model, by default the model in the package.

    `scene` is any input of `geoclass map`, an open rasterio data set, or an xarray.DataArray with
    dimensions band, y, x and the location of rioxarray (`pip install 'geoclass[xarray]'`). `bands`
    are numbers or names of the red, green and blue bands, by default found by name. `device` is
    torch's name, by default CUDA if available; `batch_size` is in tiles. `on_cells` gets the number
    of newly processed cells, in total rows × cols of the map. Raises GeoclassError if the scene
    cannot be mapped.
    """
    request = MapRequest(
        settings=settings or MapSettings(),
        bands=None if bands is None else tuple(bands),
        device=device,
        batch_size=batch_size,
        command="geoclass.map_scene",
    )
    classifier = make_classifier(model or load_model(), request)
    with give_path(scene) as path:
        return map_job(path, None, request, classifier, on_cells=on_cells)
