"""Sentinel-2 products as ESA ships them, but small."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine

ORIGIN = (399960.0, 5000040.0)
UTM = "EPSG:32632"


def write_jp2(
    path: Path, pixels: np.ndarray, pixel_m: float = 10, driver: str = "JP2OpenJPEG"
) -> None:
    """Pixels (rows, cols) without loss."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows, cols = pixels.shape
    with rasterio.open(
        path, "w", driver=driver, count=1, height=rows, width=cols, dtype=pixels.dtype, crs=UTM,
        transform=Affine(pixel_m, 0, ORIGIN[0], 0, -pixel_m, ORIGIN[1]),
        QUALITY="100", REVERSIBLE="YES",
    ) as file:  # fmt: skip
        file.write(pixels, 1)


def make_safe(
    folder: Path,
    pixels: np.ndarray,
    *,
    level: str = "1C",
    baseline: str = "05.11",
    old: bool = False,
    offsets: bool | None = None,
    scl: np.ndarray | None = None,
    quantification: int = 10000,
    tiles: tuple[str, ...] = ("32TPS",),
) -> Path:
    """A product with B04, B03, B02 = uint16 pixels (3, rows, cols), and other bands of zeros.

    `old` is the naming before December 2016. `offsets` writes -1000 for all bands, by default
    from baseline 04.00 on.
    """
    offsets = baseline >= "04.00" if offsets is None else offsets
    day = "20230823T101559"
    if old:
        name = f"S2A_OPER_PRD_MSIL{level}_PDMC_{day}_R022_V{day}_{day}.SAFE"
        metadata = f"S2A_OPER_MTD_SAFL{level}_PDMC_{day}_R022_V{day}_{day}.xml"
    else:
        number = baseline.replace(".", "")
        name = f"S2A_MSIL{level}_{day}_N{number}_R022_T{tiles[0]}_{day}.SAFE"
        metadata = f"MTD_MSIL{level}.xml"
    root = folder / name
    granules = []
    for tile in tiles:
        granule = f"S2A_OPER_MSI_L{level}_TL_EPA__{day}_A000734_T{tile}_N{baseline}"
        place = f"GRANULE/{granule if old else f'L{level}_T{tile}_A000734_{day}'}/IMG_DATA"
        stem = f"S2A_OPER_MSI_L{level}_TL_EPA__{day}_A000734_T{tile}" if old else f"T{tile}_{day}"
        suffix, sub = ("_10m", "/R10m") if level == "2A" else ("", "")
        bands = zip(("B04", "B03", "B02"), pixels, strict=True)
        images = {f"{place}{sub}/{stem}_{band}{suffix}": values for band, values in bands}
        images[f"{place}{sub}/{stem}_B08{suffix}"] = np.zeros_like(pixels[0])
        if level == "2A":
            for band in ("B04", "B03", "B02"):
                images[f"{place}/R20m/{stem}_{band}_20m"] = np.zeros_like(pixels[0][::2, ::2])
        if scl is not None:
            images[f"{place}/R20m/{stem}_SCL_20m"] = scl
            images[f"{place}/R60m/{stem}_SCL_60m"] = scl[::3, ::3].copy()
        for image, values in images.items():
            size_m = 20 if "R20m" in image else 60 if "R60m" in image else 10
            write_jp2(root / f"{image}.jp2", values, size_m)
        tag = ("IMAGE_ID" if old else "IMAGE_FILE") + ("_2A" if old and level == "2A" else "")
        listed = "".join(
            f"<{tag}>{image.rpartition('/')[2] if old else image}</{tag}>" for image in images
        )
        element = "Granules" if old else "Granule"
        granules.append(
            f'<Granule_List><{element} datastripIdentifier="DS" granuleIdentifier="{granule}" '
            f'imageFormat="JPEG2000">{listed}</{element}></Granule_List>'
        )
    (root / metadata).write_text(
        describe(level, baseline, "".join(granules), offsets, quantification), encoding="utf-8"
    )
    (root / "manifest.safe").write_text("<xfdu/>")
    return root


def describe(
    level: str, baseline: str, granules: str, offsets: bool, quantification: int = 10000
) -> str:
    """The product's metadata, in the shape of ESA's."""
    tag, box = {
        "1C": ("RADIO_ADD_OFFSET", "Radiometric_Offset_List"),
        "2A": ("BOA_ADD_OFFSET", "BOA_ADD_OFFSET_VALUES_LIST"),
    }[level]
    added = "".join(f'<{tag} band_id="{i}">-1000</{tag}>' for i in range(13)) if offsets else ""
    offset_list = f"<{box}>{added}</{box}>" if offsets else ""
    quantified = (
        f'<QUANTIFICATION_VALUE unit="none">{quantification}</QUANTIFICATION_VALUE>'
        if level == "1C"
        else "<QUANTIFICATION_VALUES_LIST>"
        f'<BOA_QUANTIFICATION_VALUE unit="none">{quantification}</BOA_QUANTIFICATION_VALUE>'
        '<AOT_QUANTIFICATION_VALUE unit="none">1000.0</AOT_QUANTIFICATION_VALUE>'
        "</QUANTIFICATION_VALUES_LIST>"
    )
    schema = f"https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-{level}.xsd"
    return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-{level}_User_Product xmlns:n1="{schema}">
  <n1:General_Info>
    <Product_Info>
      <PRODUCT_START_TIME>2023-08-23T10:15:59.024Z</PRODUCT_START_TIME>
      <PROCESSING_LEVEL>Level-{level}</PROCESSING_LEVEL>
      <PRODUCT_TYPE>S2MSI{level}</PRODUCT_TYPE>
      <PROCESSING_BASELINE>{baseline}</PROCESSING_BASELINE>
      <Datatake datatakeIdentifier="GS2A_20230823T101559_000734_N{baseline}">
        <SPACECRAFT_NAME>Sentinel-2A</SPACECRAFT_NAME>
        <DATATAKE_SENSING_START>2023-08-23T10:15:59.024Z</DATATAKE_SENSING_START>
      </Datatake>
      <Product_Organisation>{granules}</Product_Organisation>
    </Product_Info>
    <Product_Image_Characteristics>
      <Special_Values>
        <SPECIAL_VALUE_TEXT>NODATA</SPECIAL_VALUE_TEXT>
        <SPECIAL_VALUE_INDEX>0</SPECIAL_VALUE_INDEX>
      </Special_Values>
      {quantified}
      {offset_list}
    </Product_Image_Characteristics>
  </n1:General_Info>
</n1:Level-{level}_User_Product>
"""


def zip_safe(safe: Path) -> Path:
    """The product's folder in a zip beside it, as the hubs ship it."""
    path = safe.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(safe.rglob("*")):
            archive.write(file, file.relative_to(safe.parent))
    return path
