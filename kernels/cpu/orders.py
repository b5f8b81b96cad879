"""Native sorting of positions: the first few in an order, found and sorted in place by a heap."""

from __future__ import annotations

from numba import types
from numba.extending import intrinsic

from .native import device


@intrinsic
def advance(typingctx, pointer, elements):
    """Native: a typed pointer `elements` further on."""

    def codegen(context, builder, signature, arguments):
        return builder.gep(arguments[0], [arguments[1]])

    return pointer(pointer, types.int64), codegen


@device
def precedes(x, step, inner, width, descending, i, j):
    """Native: whether row i comes before row j: by their elements from the first on, then by position.

    Args:
        x: typed pointer; element n of row i is x[i * step + n * inner], n below `width`.
        descending: 1: larger ones first. NaN counts as larger than every number, two NaN are alike.
    """
    for n in range(width):
        a, b = x[i * step + n * inner], x[j * step + n * inner]
        if a < b or (b != b and a == a):
            return descending == 0
        if b < a or (a != a and b == b):
            return descending == 1
    return i < j


@device
def _sift(order, stride, root, size, x, step, inner, width, descending):
    """Sink the root of a heap of positions whose parents come behind their children in the order."""
    item = order[root * stride]
    while 2 * root + 1 < size:
        child = 2 * root + 1
        if child + 1 < size and precedes(
            x, step, inner, width, descending, order[child * stride], order[(child + 1) * stride]
        ):
            child += 1
        if not precedes(x, step, inner, width, descending, item, order[child * stride]):
            break
        order[root * stride] = order[child * stride]
        root = child
    order[root * stride] = item


@device
def sort_first(order, stride, kept, count, x, step, inner, width, descending):
    """Native: order[i * stride] = the position of the i-th row of `count`, i below `kept`; see `precedes`.

    Takes count * log(kept) comparisons and no memory but `order`.
    """
    for i in range(kept):
        order[i * stride] = i
    heaped, seen = kept // 2, kept // 2 + count - kept
    # Three loops in one, so that the sinking, most of the code, is compiled into one place.
    for turn in range(seen + kept - 1 if kept > 0 else 0):
        root, size = 0, kept
        if turn < heaped:  # make a heap of the first rows
            root = heaped - 1 - turn
        elif turn < seen:  # a row that comes before the last of them takes its place
            row = kept + turn - heaped
            if not precedes(x, step, inner, width, descending, row, order[0]):
                continue
            order[0] = row
        else:  # the last of the heap goes to its end
            size = kept - 1 - (turn - seen)
            last = order[0]
            order[0] = order[size * stride]
            order[size * stride] = last
        _sift(order, stride, root, size, x, step, inner, width, descending)
