"""Frame rates: what is measured is nearly always one of a few."""

from fractions import Fraction

STANDARD_RATES = tuple(
    sorted(
        [Fraction(rate) for rate in (5, 10, 12, 15, 20, 24, 25, 30, 48, 50, 60, 72, 90, 100, 120, 144, 240)]
        + [Fraction(rate * 1000, 1001) for rate in (24, 30, 48, 60, 120, 240)]
    )
)
"""Frames per second that cameras and encoders really use."""
_SNAP = 0.005  # relative distance within which a rate is taken for a standard one
_MIN_FPS, _MAX_FPS = 1, 250


def snap_fps(rate: float | Fraction | None) -> Fraction | None:
    """Return the standard rate within 0.5 % of `rate`, else `rate` itself; None when it is no frame rate (1 to 250)."""
    if rate is None or not _MIN_FPS <= rate <= _MAX_FPS:
        return None
    exact = Fraction(rate)
    nearest = min(STANDARD_RATES, key=lambda standard: abs(standard - exact))
    return nearest if abs(nearest - exact) <= _SNAP * nearest else exact.limit_denominator(1001)
