"""The schema of every kernel, in the order in which native code reads the operand words.

What each kernel computes is the function of the same name in `kernels.reference`; how weights are packed is in
`kernels.packing`. A native kernel imports its schema from the file of its family, so that its compiled form outlives
changes to the other families.
"""

from __future__ import annotations

from ..contract import Kernel
from .bits import BITS
from .chain import CHAIN
from .convolution import CONV_DEPTHWISE, CONV_NARROW, CONV_SHORT, CONV_VOLUME, CONV_WIDE, CONV_WINOGRAD
from .convolution_rounded import CONV_ROUNDED
from .elementwise import BINARY, UNARY, WHERE
from .general import (
    BINARY_GENERAL,
    CONVERT,
    COPY_WIDE,
    NARROW_FLOAT,
    NARROW_INTEGER,
    REDUCE_GENERAL,
    UNARY_GENERAL,
    WHERE_WIDE,
)
from .indexing import FLAT_POSITIONS, GATHER_AT, NON_ZERO, SCATTER_AT
from .interpolation import INTERPOLATE
from .movement import COPY, FILL, GATHER
from .normalisation import NORMALIZE
from .ordering import ARG_REDUCE, CUMULATE, NON_MAX_SUPPRESSION, TOP_K, UNIQUE
from .pooling import AVERAGE_POOL, MAX_POOL
from .positions import MAX_POOL_POSITIONS, PLACE
from .products import DENSE, DENSE_HALF, MATMUL
from .products_general import DETERMINANT, MATMUL_GENERAL
from .quantisation import DEQUANTIZE, QUANTIZE
from .recurrent import GRU, GRU_HALF, GRU_SMALL, LSTM, LSTM_HALF
from .recurrent_general import RECURRENT_GENERAL
from .reduction import REDUCE, SOFTMAX
from .resize import RESIZE_LINEAR
from .sampling import MAX_ROI_POOL, ROI_ALIGN, SAMPLE
from .spectrum import COMPLEX_FFT, INVERSE_REAL_FFT, REAL_FFT

KERNELS: tuple[Kernel, ...] = (
    *(COPY, FILL, GATHER),
    *(UNARY, BINARY, WHERE, CHAIN),
    *(REDUCE, SOFTMAX),
    NORMALIZE,
    *(DENSE, MATMUL),
    *(CONV_WIDE, CONV_SHORT, CONV_NARROW, CONV_WINOGRAD, CONV_DEPTHWISE, CONV_VOLUME),
    *(MAX_POOL, AVERAGE_POOL, MAX_POOL_POSITIONS, PLACE),
    *(SAMPLE, ROI_ALIGN, MAX_ROI_POOL),
    RESIZE_LINEAR,
    *(LSTM, GRU, GRU_SMALL, RECURRENT_GENERAL),
    *(DENSE_HALF, LSTM_HALF, GRU_HALF),
    *(REAL_FFT, INVERSE_REAL_FFT),
    *(COPY_WIDE, WHERE_WIDE, CONVERT, NARROW_INTEGER, NARROW_FLOAT, UNARY_GENERAL, BINARY_GENERAL, REDUCE_GENERAL),
    *(MATMUL_GENERAL, DETERMINANT, QUANTIZE, DEQUANTIZE, INTERPOLATE, COMPLEX_FFT),
    *(FLAT_POSITIONS, GATHER_AT, SCATTER_AT, NON_ZERO),
    *(ARG_REDUCE, TOP_K, CUMULATE, UNIQUE, NON_MAX_SUPPRESSION),
    BITS,
    CONV_ROUNDED,
)

KERNEL_BY_NAME: dict[str, Kernel] = {kernel.name: kernel for kernel in KERNELS}
KERNEL_IDS: dict[str, int] = {kernel.name: index for index, kernel in enumerate(KERNELS)}
