"""Operations that autograd is taught: each a function, then the vector–Jacobian product beside it.

Autograd differentiates NumPy.  A convolution is not in NumPy, and written in NumPy it would record
many small operations; as a primitive it is one, whose gradient we derive by hand.  All keep the dtype
of their input, so a float32 network stays float32.

One file each.  Where the fast way is not the obvious way, the obvious one stands first in the file
(`conv_reference`, `silu_of_normalised_reference`), and tests/test_primitives.py holds both to the same
values and gradients.
"""
import ctypes

from .affine import affine
from .conv import conv
from .normalise import normalise
from .silu import sigmoid, silu
from .silu_of_normalised import silu_of_normalised

__all__ = ["affine", "conv", "normalise", "sigmoid", "silu", "silu_of_normalised"]


def keep_freed_memory():
    """Ask the malloc of this process, where it is glibc's, to hold on to what is freed, up to 1 GB.

    By default it gives large arrays back to the system when they are freed, and the top of its heap whenever enough of
    it is free.  A fresh array then costs a page fault each 4 kB, more than the arithmetic on it.
    """
    try:
        malloc = ctypes.CDLL(None)
        malloc.mallopt(-3, 31 * 2 ** 20)  # M_MMAP_THRESHOLD, below its upper limit
        malloc.mallopt(-1, 2 ** 30)  # M_TRIM_THRESHOLD
    except (AttributeError, OSError, TypeError):
        pass


keep_freed_memory()
