"""The schedule for images of 256 levels."""
from ..schedule import Schedule, log_snr_uniform


def grey_levels(T: int = 1000) -> Schedule:
    """A grid uniform in log SNR, from 13.3 at t = 1 to −5.5 at t = T.

    At t = 1 the noise is a sixth of the distance between two grey levels, so x_1 shows the level of
    each pixel.  With less noise the first steps would cost no bits; with more, the decoder would
    have to guess among neighbouring levels.  At t = T the noise is 15 times the largest pixel
    value, and L_T is below 0.003 bits/dim.
    ValueError: T < 1.
    """
    return log_snr_uniform(T, 13.3, -5.5)
