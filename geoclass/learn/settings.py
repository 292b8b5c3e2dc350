"""How tiles and canvases are varied; light enough for the command line to read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentSettings:
    """How far tiles are varied. Shares are of tiles, drawn for each kind on its own."""

    symmetries: bool = True
    """Turn and mirror: land has no preferred direction."""
    shift: int = 6
    """Move by up to so many pixels; the border is mirrored."""
    join_share: float = 0.1
    """Joined to another tile of their class, as a map's cells lie across borders."""
    mix_share: float = 0.5
    """Beside a part of any other tile, of whose class the label takes a share, when training
    begins, and in even steps none when it ends."""
    plain_share: float = 0.4
    """Neither relit nor degraded, the tile as it is, when training begins …"""
    plain_share_end: float = 0.7
    """… and when it ends, in even steps: nearer and nearer to clean tiles."""
    gain: float = 0.4
    """Brightness factor between 1/(1+gain) and 1+gain: slopes, seasons, soils."""
    channel_gain: float = 0.08
    """The same for each channel alone."""
    gamma: float = 0.3
    """Exponent between 1/(1+gamma) and 1+gamma: how shadows and lights are spread."""
    relief: float = 0.5
    """Standard deviation of the logarithm of the sun's light over a tile, up to this: ground
    that faces the sun is bright, ground that does not is dark …"""
    relief_share: float = 0.5
    """… in so many tiles."""
    path_radiance: float = 0.05
    """Standard deviation of the light added by the air in the blue band, as a share of white;
    less in green and red."""
    corrected_share: float = 0.3
    """Seen as if corrected for the air (Level-2A)."""
    veil: float = 0.45
    """Up to such a share of a tile's light comes from thin cloud or smoke …"""
    veil_share: float = 0.3
    """… in so many tiles."""
    offset: float = 0.4
    """Up to such a share of white is added to all channels …"""
    offset_share: float = 0.1
    """… in so many tiles."""
    degrade_share: float = 0.08
    """Blurred; and as many coarsened; and as many noisy; and as many compressed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudSettings:
    """How often clouds are painted, and of what kind."""

    share: float = 0.25
    """Of canvases."""
    opacity: tuple[float, float] = (0.4, 1.0)
    """Of the densest part of a cloud."""
    brightness: tuple[float, float] = (0.6, 1.5)
    """Of cloud, as a share of white: what exceeds white is clipped, as in scenes."""
    tint: float = 0.04
    """Standard deviation of each channel's share of that: haze that is taken off colors clouds."""
    roughness: tuple[float, float] = (0.3, 0.6)
    """Amplitude of each finer scale of a cloud, as a share of that of the coarser one."""
    stretch: int = 3
    """Clouds are up to so many times as long as wide."""
    shadow: tuple[float, float] = (0.35, 0.8)
    """Light that is left in a shadow, as a factor."""
    distance: int = 32
    """Pixels between a cloud and its shadow, at most, along each axis."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Roles:
    """What canvases know of the classes, each tuple by class."""

    required: tuple[float, ...]
    """Of a region of the class, the share that is required to be of it, 0–1."""
    fields: tuple[bool, ...]
    """Whether parcels of the class are fields …"""
    colors: tuple[bool, ...]
    """… and whether its tiles give them their colors."""
    water: int | None
    """The class of water …"""
    band: int | None
    """… and of bands of it; None: there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CanvasSettings:
    """How canvases are composed. Shares are of canvases."""

    size: int = 96
    """Pixels a side, a multiple of 16."""
    tiles: int = 4
    """Of so many tiles at most."""
    single_share: float = 0.33
    """Of one tile alone."""
    parcels: int = 14
    """Regions at most; several may be filled by one tile, as fields of one crop are."""
    straight_share: float = 0.5
    """With straight borders between regions; of the others borders are warped."""
    warp: float = 7.0
    """Standard deviation of the warp, up to so many pixels."""
    stretch: float = 3.0
    """Regions are up to so many times as long as wide."""
    turn_share: float = 0.5
    """Of tiles: turned by any angle and scaled, which blurs them a little; the others are turned
    by right angles, mirrored and moved by whole pixels."""
    scale: float = 0.2
    """Tiles are scaled by 1/(1+scale) to 1+scale."""
    psf: tuple[float, float] = (0.4, 0.9)
    """Standard deviation of the instrument's point spread function at borders, in pixels."""
    clouds: CloudSettings = field(default_factory=CloudSettings)
    line_classes: tuple[str, ...] = ("Highway", "River")
    """Classes of tiles that a line crosses: most of such a tile is something else."""
    line_share: float = 1 / 6
    """Of a region of such a class, so much is required to be of it: the cells that are likeliest;
    the others may be anything."""
    town_classes: tuple[str, ...] = ("Industrial", "Residential")
    """Classes of tiles that hold parks, trees and fields among what gives them their name."""
    town_share: float = 0.5
    """The same of those."""

    field_classes: tuple[str, ...] = ("AnnualCrop",)
    """Classes whose parcels are fields, each in a color of its own …"""
    field_colors: tuple[str, ...] = ("AnnualCrop", "Pasture", "PermanentCrop")
    """… taken from a tile of one of these: a green field among bare ones is still a crop."""
    field_share: float = 0.5
    """Of canvases of several tiles have fields in other colors: half of their parcels."""
    water_class: str = "SeaLake"
    """Class of tiles that are water all over, and dark blue in EuroSAT: real lakes are more than
    that, muddy, shallow, frozen or under haze …"""
    water_share: float = 0.3
    """… so that so many have another color."""
    band_class: str = "River"
    """Class of bands of water that cross other land."""
    band_share: float = 0.15
    """Of canvases are crossed by a band of water."""
    band_width: tuple[float, float] = (2.5, 20.0)
    """Pixels."""

    def find_roles(self, names: Sequence[str]) -> Roles:
        """What canvases of these classes need to know of each."""
        shares = dict.fromkeys(self.line_classes, self.line_share)
        shares |= dict.fromkeys(self.town_classes, self.town_share)
        rivers = self.water_class in names and self.band_class in names
        return Roles(
            required=tuple(shares.get(name, 1.0) for name in names),
            fields=tuple(name in self.field_classes for name in names),
            colors=tuple(name in self.field_colors for name in names),
            water=names.index(self.water_class) if rivers else None,
            band=names.index(self.band_class) if rivers else None,
        )
