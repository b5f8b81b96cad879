"""Fuse: the same numbers from fewer nodes."""

from __future__ import annotations

from .ir import Graph
from .passes.activations import fold_activations, simplify_prelus
from .passes.batch_norm import convolve_batch_norms, fold_batch_norms
from .passes.bias import fold_biases
from .passes.duplicates import share_constants
from .passes.layer_norm import fold_layer_norms
from .passes.pads import fold_pads
from .passes.prelu import fold_prelus
from .passes.quantised import drop_limits, join_quantisation
from .passes.resize_order import convolve_before_growing
from .passes.scales import fold_scales
from .passes.spectra import transform_spectra
from .passes.sums import join_convolutions
from .passes.transposed import convolve_forwards
from .passes.unfold import convolve_unfolded
from .passes.views import drop_identities, merge_transposes
from .passes.windows import explicit_windows
from .prune import prune
from .scans import unroll_scans

PASSES = (
    prune,
    unroll_scans,
    explicit_windows,
    drop_identities,
    merge_transposes,
    transform_spectra,
    convolve_forwards,
    fold_batch_norms,
    convolve_unfolded,
    fold_pads,
    fold_biases,
    join_convolutions,
    fold_batch_norms,
    convolve_batch_norms,
    fold_biases,
    fold_scales,
    fold_layer_norms,
    fold_prelus,
    simplify_prelus,
    drop_limits,
    join_quantisation,
    fold_activations,
    convolve_before_growing,
    share_constants,
)
"""In this order: each only needs those before it. Every one keeps the numbers, up to rounding."""


def fuse(graph: Graph) -> Graph:
    """Return an equivalent graph with fewer nodes; the given one is not changed.

    - Scans that were kept whole are unrolled.
    - Conv, ConvTranspose and pools have explicit kernel_shape, strides, dilations and pads; auto_pad is gone.
    - BatchNormalization, zero Pad, per-channel Add and activations are part of the Conv, ConvTranspose, MatMul or Gemm
      next to them; a BatchNormalization of images that has none is a Conv itself. Inputs of these four are then: data,
      weight, bias or '', slope of PRelu; a MatMul has a bias only here. `activation` is one of Relu, LeakyRelu, PRelu,
      Sigmoid, Tanh, Elu, HardSigmoid, HardSwish, Swish, Clip, applied to the biased result, with `activation_alpha` and
      `activation_beta` (Clip: minimum and maximum) and, for PRelu, `slope`: the name of a constant `[channels]`.
    - A number that columns of a MatMul by a constant are multiplied by is part of the matrix.
    - The sum of two 1x1 Convs is one Conv of a Concat; what follows is folded into it.
    - A 1x1 Conv behind a Resize that makes its input larger goes before it.
    - LayerNormalization and PRelu that were written out as several nodes are one, in any operator set.
    - A ConvTranspose of stride 1 is a Conv.
    - A QuantizeLinear and the DequantizeLinear behind it are one; limits that their integers have anyway are gone.
    - A Conv of one channel by a windowed Fourier basis is an STFT, transposed; a MatMul with such a basis is a DFT.
    - A 1x1 Conv of neighbours that were gathered by hand is a Conv over windows.
    - Nodes that change nothing are gone, consecutive Transposes are one, equal constants are shared.

    No value that is a graph output or carried state is fused away.
    """
    for rewrite in PASSES:
        graph = rewrite(graph)
    return graph
