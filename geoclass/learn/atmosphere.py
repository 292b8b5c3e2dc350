"""What the air adds to and takes from the light of a tile, and how a tile looks without it.

EuroSAT shows the light above the air (Level-1C); what most people download is corrected for
the air (Level-2A): darker, most in blue. The correction is simulated by single scattering.
"""

from __future__ import annotations

import torch
from torch import Tensor

from geoclass.model.device import constant

WHITE_REFLECTANCE = 0.275
"""The reflectance that EuroSAT's stretch makes 255."""

# At 665, 560 and 492 nm: red, green, blue.
RAYLEIGH_DEPTH = (0.0450, 0.0904, 0.1534)
"""Optical depth of clean air at sea level: 0.008569 λ⁻⁴ (1 + 0.0113 λ⁻² + 0.00013 λ⁻⁴), λ in µm
(Hansen and Travis 1974)."""
OZONE_DEPTH = (0.0146, 0.0310, 0.0063)
"""Optical depth of 300 Dobson units of ozone."""
_AEROSOL_COLOR = (0.796, 0.979, 1.143)
"""Optical depth relative to 550 nm: (λ / 550 nm) to the power of −1.2 (Ångström)."""
_AEROSOL_BACKSCATTER = 0.93 * 0.25
"""Single scattering albedo times phase function towards a sensor above."""

DARKEST = 0.02
"""No ground is darker, as a share of white: a reflectance of 0.0055."""

TYPICAL_SUN = 0.643
"""Cosine of the sun's zenith angle of 50°."""
TYPICAL_AEROSOL = 0.12
"""Optical depth at 550 nm on a clear day over land."""


def correct_atmosphere(x: Tensor, sun: Tensor, aerosol: Tensor) -> Tensor:
    """Level-1C tiles as Level-2A: path radiance taken off, transmittance divided out.

    `x` is float (n, 3, h, w), 0–1, red, green, blue, as EuroSAT's stretch has it; `sun`, the
    cosine of its zenith angle, and `aerosol`, the optical depth at 550 nm, are (n, 1, 1, 1).
    No more light is taken off than the darkest pixel of a tile has to give. The result may
    exceed 1.

    ρ_surface = (ρ − ρ_path) / T, seen from above, with ρ_path = (τ_R P_R + ω τ_A P_A) / 4μ
    and T = exp(−(τ_R/2 + τ_A/6 + τ_O₃)(1/μ + 1)) (single scattering, after Gordon and Wang 1994).
    """
    rayleigh, ozone, color = (
        by_channel(v, x.device) for v in (RAYLEIGH_DEPTH, OZONE_DEPTH, _AEROSOL_COLOR)
    )
    path = path_radiance(sun, aerosol)
    path = path.minimum((x.amin(dim=(2, 3), keepdim=True) - DARKEST).clamp(min=0))
    transmittance = torch.exp(-(rayleigh / 2 + aerosol * color / 6 + ozone) * (1 / sun + 1))
    return (x - path) / transmittance


def path_radiance(sun: Tensor, aerosol: Tensor) -> Tensor:
    """Light that the air adds to a Level-1C tile, (n, 3, 1, 1), as a share of white.

    `sun` and `aerosol` are as above: ρ_path there.
    """
    rayleigh, color = (by_channel(v, sun.device) for v in (RAYLEIGH_DEPTH, _AEROSOL_COLOR))
    phase = 0.75 * (1 + sun**2)
    scattered = rayleigh * phase + aerosol * color * _AEROSOL_BACKSCATTER
    return scattered / (4 * sun) / WHITE_REFLECTANCE


def by_channel(values: tuple[float, float, float], device: torch.device) -> Tensor:
    """Red, green, blue as (1, 3, 1, 1)."""
    return constant(values, device).reshape(1, 3, 1, 1)
