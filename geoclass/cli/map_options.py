"""Options of many scenes."""

from __future__ import annotations

from dataclasses import dataclass

from geoclass.errors import SettingsError
from geoclass.products.formats import Preference


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignOptions:
    """Many scenes: how they are worked through, and merged."""

    workers: int = 1
    """Number of processes."""
    memory: int | None = None
    """Memory for all processes, such as 3GB."""
    redo: bool = False
    """Map up-to-date scenes again."""
    fail_fast: bool = False
    """Stop at the first scene that fails."""
    shard: tuple[int, int] | None = None
    """Map only part I of N."""
    ray: str | None = None
    """Map on a Ray cluster; without an address, start one on this machine."""
    map_crs: str | None = None
    """CRS of a merged map. None: the most common one."""
    prefer: Preference = "confident"
    """Which overlapping cell a merged map keeps."""

    def refuse_any(self, output: str) -> None:
        """SettingsError where one was given for a single map."""
        if self != CampaignOptions():
            raise SettingsError(
                "--redo, --fail-fast, --workers, --memory, --shard, --ray, --map-crs and --prefer "
                f"are for many scenes: give a folder as output instead of {output}"
            )

    def refuse_merging(self, output: str) -> None:
        """SettingsError where maps in a folder were to be merged."""
        if self.map_crs is not None or self.prefer != "confident":
            raise SettingsError(
                "--map-crs and --prefer are for many scenes in one map: give a .gpkg as output "
                f"instead of the folder {output}"
            )
