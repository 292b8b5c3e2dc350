"""The map job: a scene to a land-cover map, in a file or in memory, whoever asks for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from geoclass.errors import OutputError
from geoclass.files.writing import Target
from geoclass.landcover import LandCoverMap
from geoclass.mapping.pipeline import estimate_bytes, run_map
from geoclass.mapping.plan import MapPlan, plan_map
from geoclass.mapping.request import fingerprint_request
from geoclass.mapping.settings import MapRequest, MapSettings
from geoclass.model.checkpoint import Model, load_model
from geoclass.model.classifier import Classifier
from geoclass.products.files import check_placed, check_room, check_target, write_map
from geoclass.scene.arrays import Scene, give_path
from geoclass.scene.source import SceneSource, open_scene


def make_classifier(model: Model, request: MapRequest) -> Classifier:
    """As the request wants it, on its device; SettingsError for one that is not there."""
    return Classifier(
        model,
        device=request.device,
        batch_size=request.batch_size,
        symmetries=request.settings.symmetries,
        precision=request.settings.precision,
    )


def open_job(scene: str, output: Target, request: MapRequest) -> SceneSource:
    """The scene, of which no pixel is read yet.

    Raises SceneError where it cannot be opened, OutputError where the output is a part of it.
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
    """Whether the output is the map of this very request: one rule for one scene and for many.

    It is where it was asked for in the same words: the same scene, untouched since, the same model
    and options. No pixel is read. Raises OutputError where it is something else that is not to
    be replaced, see `check_target`.
    """
    asked = fingerprint_request(source, model.sha256, model.contract.legend, request.settings)
    return check_target(
        output,
        request.map_format,
        asked,
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
    """Decide how a scene, named or opened already, will be mapped.

    Raises SceneError where it cannot be, OutputError where the output cannot hold the map.
    """
    plan = plan_map(
        scene,
        classifier.contract,
        classifier.sha256,
        request.settings,
        bands=request.bands,
        command=request.command,
        classifier=classifier,
    )
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
    """Map a scene, named, opened or planned already; without an output the map is but returned.

    What is there is replaced: `is_up_to_date` says whether it may be. `on_cells` is told how many
    more cells are done. Raises GeoclassError where there can be no map, or none in the output.
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
    """Decide how a scene would be mapped, without mapping it; arguments as of `map_scene`.

    The plan says which bands, radiometry, masks and pixels, how many cells, and what a person
    should know before trusting the map. Raises GeoclassError where it could not be made.
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
    """Map a scene with a model, by default the one that ships.

    `scene` is whatever `geoclass map` takes: a file, a product, a STAC item, a URL …; or a scene
    that is open: a rasterio data set, or an xarray.DataArray with the dimensions band, y, x and
    the place that rioxarray keeps (`pip install 'geoclass[xarray]'`).
    `bands` are the numbers or names of the red, green and blue band, where the file does not say.
    `device` is torch's name of it, by default CUDA where there is one; `batch_size` is how many
    tiles it labels at a time. `on_cells` is told how many more cells are done, of rows × cols of
    the map. Raises GeoclassError where the scene cannot be mapped.
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
