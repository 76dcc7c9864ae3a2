"""Operations that autograd is taught: each a function, then the vector–Jacobian product beside it.

Autograd differentiates NumPy.  A convolution is not in NumPy, and written in NumPy it would record
many small operations; as a primitive it is one, whose gradient we derive by hand.  All keep the dtype
of their input, so a float32 network stays float32.

One file each.  Where the fast way is not the obvious way, the obvious one stands first in the file
(`conv_reference`, `silu_of_normalised_reference`), and tests/test_primitives.py holds both to the same
values and gradients.
"""
import numpy as np

from .affine import affine
from .conv import conv
from .normalise import normalise
from .silu import sigmoid, silu
from .silu_of_normalised import silu_of_normalised

__all__ = ["affine", "conv", "normalise", "sigmoid", "silu", "silu_of_normalised"]

# glibc hands large arrays back to the system at once, and every fresh one costs a page fault each 4 kB: more
# than the arithmetic on it.  Freeing one array of this size makes it keep those below (elsewhere: nothing).
np.empty(31 * 2 ** 20, np.uint8)
