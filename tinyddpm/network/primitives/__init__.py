"""Operations defined for autograd: a function, and its vector–Jacobian product beside it.

Autograd differentiates NumPy.  NumPy has no convolution; one written with NumPy would be many small
recorded operations.  As a primitive it is one operation, whose gradient is derived by hand.
A gradient function takes g = ∂L/∂y, the gradient of the loss L in the result y, and returns ∂L/∂x
for an argument x.  All primitives keep the dtype of x, so a float32 network stays float32.

Read the plain files, one operation each:

    affine      x @ w + b
    conv        the convolution
    silu        sigmoid and silu
    normalise   RMSNorm

The networks run `affine` as it stands there.  For `conv`, `silu`, `silu_of_normalised` and
`residual` they run the files in fast/: the same functions in less time.
tests/unit/test_primitives.py compares values and gradients of fast and plain.
"""
# Plain first: importing .conv binds the name `conv` to that module, and fast.conv rebinds it.
from .affine import affine
from .conv import conv as plain_conv
from .normalise import normalise
from .silu import sigmoid
from .silu import silu as plain_silu
from .fast.conv import conv
from .fast.residual import residual
from .fast.silu import silu
from .fast.silu_of_normalised import silu_of_normalised

__all__ = ["affine", "conv", "normalise", "plain_conv", "plain_silu", "residual", "sigmoid", "silu",
           "silu_of_normalised"]
