"""Einsum: diagonals and transposes by strides, then sums and matrix products of one pair of operands after the other.

The operands are contracted from left to right. An axis that two operands have in common is a batch axis of their
product if it is needed later, else it is summed over. What takes no sum is an outer product, element by element.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from ....kernels.opcodes import Binary, Reduce
from ..builder import Builder
from ..view import View
from .elementwise import apply_binary
from .products import dense_product, multiply
from .reduction import reduce_view
from .registry import Lowering, rule


@dataclass(frozen=True)
class _Term:
    """An operand, with a letter for each of its axes; those of an ellipsis are digits, counted from the last."""

    view: View
    letters: str
    constant: np.ndarray | None = None
    """The operand's value in the order of `letters`, if it is a constant."""

    def ordered(self, letters: str, sizes: dict[str, int]) -> View:
        """The view with its axes in the order of the letters, an axis of size 1 for what it lacks."""
        turned = self.view.transpose([self.letters.index(letter) for letter in letters if letter in self.letters])
        index = tuple(slice(None) if letter in self.letters else None for letter in letters)
        return turned[index].broadcast([sizes[c] if c in self.letters else 1 for c in letters])


@rule("Einsum")
def einsum(node: Lowering, builder: Builder) -> View:
    """ONNX Einsum, of any number of operands."""
    letters, output = _read_equation(node)
    terms, sizes = [], {}
    for index, names in enumerate(letters):
        view = node.operand(index)
        for name, size in zip(names, view.shape, strict=True):
            if size != 1 and sizes.get(name, 1) not in (1, size):
                raise node.refuse(f"axis '{name}' has the sizes {sizes[name]} and {size}", "make them equal, or 1")
            sizes[name] = max(size, sizes.get(name, 1))
        constant = node.constant(index)
        terms.append(_without_repeats(_Term(view, names, constant)))
    result = terms[0]
    for index in range(len(terms)):
        needed = set(output).union(*(term.letters for term in terms[index + 1 :]))
        if index:
            other = _summed(builder, terms[index], needed | set(result.letters))
            result = _contract(builder, result, other, needed, sizes)
        result = _summed(builder, result, needed)
    view = result.ordered(output, sizes)
    return builder.reshape(view, node.output_shape())


def _read_equation(node: Lowering) -> tuple[list[str], str]:
    """The letters of each operand's axes and of the output's.

    Raises:
        UnsupportedError: the equation does not go with the operands.
    """
    equation = str(node.attribute("equation")).replace(" ", "")
    left, arrow, right = equation.partition("->")
    given = left.split(",")
    ranks = [len(node.shape(index)) for index in range(len(node.node.inputs))]
    if len(given) != len(ranks):
        raise node.refuse(
            f"equation {equation!r} has {len(given)} operands, not {len(ranks)}", "name each of them once"
        )
    hidden = [rank - len(term.replace("...", "")) for term, rank in zip(given, ranks, strict=True)]
    longest = max((count for term, count in zip(given, hidden, strict=True) if "..." in term), default=0)
    ellipsis = "9876543210"[-longest:] if longest else ""
    terms = []
    for term, rank, count in zip(given, ranks, hidden, strict=True):
        terms.append(term.replace("...", ellipsis[len(ellipsis) - count :]))
        if len(terms[-1]) != rank:
            raise node.refuse(f"equation {equation!r}: '{term}' for an operand of {rank} axes", "name every axis")
    if arrow:
        return terms, right.replace("...", ellipsis)
    once = sorted(letter for letter in set(left) - set(".,") if left.count(letter) == 1)
    return terms, ellipsis + "".join(once)


def _without_repeats(term: _Term) -> _Term:
    """The diagonal along axes of the same letter: one axis whose stride is the sum of theirs."""
    letters = "".join(dict.fromkeys(term.letters))
    if letters == term.letters:
        return term
    view = term.view
    axes = {letter: [axis for axis, name in enumerate(term.letters) if name == letter] for letter in letters}
    shape = [min(view.shape[axis] for axis in axes[letter]) for letter in letters]
    strides = [sum(view.strides[axis] for axis in axes[letter]) for letter in letters]
    return _Term(view.strided(view.offset, shape, strides), letters)


def _summed(builder: Builder, term: _Term, needed: set[str]) -> _Term:
    """The term summed over the axes that nobody needs."""
    lost = [axis for axis, letter in enumerate(term.letters) if letter not in needed]
    if not lost:
        return term
    letters = "".join(letter for letter in term.letters if letter in needed)
    return _Term(reduce_view(builder, Reduce.SUM, term.view, lost), letters)


def _contract(builder: Builder, a: _Term, b: _Term, needed: set[str], sizes: dict[str, int]) -> _Term:
    """The product of two terms, summed over what they share and nobody needs."""
    if a.constant is not None and b.constant is None:
        a, b = b, a
    shared = [letter for letter in a.letters if letter in b.letters]
    batch = "".join(letter for letter in shared if letter in needed)
    inner = "".join(letter for letter in shared if letter not in needed)
    rows = "".join(letter for letter in a.letters if letter not in shared)
    columns = "".join(letter for letter in b.letters if letter not in shared)
    if not inner:
        letters = batch + rows + columns
        product = apply_binary(builder, Binary.MUL, a.ordered(letters, sizes), b.ordered(letters, sizes))
        return _Term(product, letters)
    count = {part: prod(sizes[letter] for letter in part) for part in (batch, inner, rows, columns)}
    whole = all(sizes[letter] == size for letter, size in zip(b.letters, b.view.shape, strict=True))
    if b.constant is not None and a.view.dtype == np.float32 and whole:
        weights = b.constant.transpose([b.letters.index(letter) for letter in batch + inner + columns])
        weights = weights.reshape(count[batch], count[inner], count[columns])
        left = a.ordered(rows + batch + inner, sizes)
        y = _grouped(builder, builder.reshape(left, (count[rows], count[batch], count[inner])), weights)
        letters = rows + batch + columns
    else:
        left = builder.reshape(a.ordered(batch + rows + inner, sizes), (count[batch], count[rows], count[inner]))
        right = builder.reshape(b.ordered(batch + inner + columns, sizes), (count[batch], count[inner], count[columns]))
        y = multiply(builder, left, right, left.dtype)
        letters = batch + rows + columns
    return _Term(builder.reshape(y, [sizes[letter] for letter in letters]), letters)


def _grouped(builder: Builder, x: View, weights: np.ndarray) -> View:
    """[rows, groups, inner] times constant [groups, inner, columns]: [rows, groups, columns].

    A single group has its weights packed. More go through one `matmul`, whose panels are short enough to be read as
    they lie: for 16 groups of 32 x 16 that takes two thirds of the time of 16 packed products.
    """
    y = builder.allocate((*x.shape[:2], weights.shape[2]))
    if len(weights) == 1:
        dense_product(builder, x[:, 0], weights[0], y[:, 0])
    else:
        a, target = (view.transpose((1, 0, 2))[None] for view in (x, y))
        builder.emit("matmul", a=a, b=builder.constant(weights.astype(np.float32))[None], y=target)
    return y
