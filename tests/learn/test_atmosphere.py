"""What the air does to tiles."""

import pytest
import torch

from geoclass.learn.atmosphere import (
    TYPICAL_AEROSOL,
    TYPICAL_SUN,
    correct_atmosphere,
    exchange_atmosphere,
    path_radiance,
    transmittance,
)


def number(value: float) -> torch.Tensor:
    return torch.full((1, 1, 1, 1), value)


def test_the_same_air_changes_nothing() -> None:
    x = 0.3 + 0.6 * torch.rand((1, 3, 8, 8), generator=torch.Generator().manual_seed(0))
    same = exchange_atmosphere(x, number(TYPICAL_SUN), number(TYPICAL_AEROSOL))
    torch.testing.assert_close(same, x)


def test_other_air_is_taken_off_as_it_was_put_on() -> None:
    x = 0.4 + 0.5 * torch.rand((1, 3, 8, 8), generator=torch.Generator().manual_seed(0))
    sun, aerosol = number(0.42), number(0.3)
    ground = correct_atmosphere(x, number(TYPICAL_SUN), number(TYPICAL_AEROSOL))
    under = exchange_atmosphere(x, sun, aerosol)
    torch.testing.assert_close((under - path_radiance(sun, aerosol)) / transmittance(sun, aerosol),
                               ground)  # fmt: skip


@pytest.mark.parametrize("aerosol", [0.02, 0.3])
def test_a_low_sun_is_blue_and_dims_the_ground(aerosol: float) -> None:
    low, high = (
        path_radiance(number(0.4), number(aerosol)),
        path_radiance(number(0.9), number(aerosol)),
    )
    assert (low > high).all()
    more = (low - high).flatten()
    assert more[2] > more[1] > more[0]
    dimmed = transmittance(number(0.4), number(aerosol))
    assert (dimmed < transmittance(number(0.9), number(aerosol))).all()
    assert ((dimmed > 0) & (dimmed < 1)).all()


def test_ground_never_becomes_darker_than_any_is() -> None:
    out = exchange_atmosphere(torch.zeros(1, 3, 4, 4), number(0.94), number(0.02))
    assert out.min() >= 0
    assert out.isfinite().all()
