"""Which taps of a window lie inside an image: small loops, as a 64-bit division costs 40 to 90 cycles."""

from __future__ import annotations

from .native import device


@device
def inside(start, dilation, taps, limit):
    """Native: (first, end) of the taps whose index start + tap * dilation lies in 0 .. limit - 1."""
    first, index = 0, start
    while first < taps and index < 0:
        first += 1
        index += dilation
    end, index = taps, start + (taps - 1) * dilation
    while end > first and index >= limit:
        end -= 1
        index -= dilation
    return first, end


@device
def quotient(whole, parts):
    """Native: whole // parts, at once where nothing is to divide."""
    if parts == 1:
        return whole
    return 1 if whole == parts else whole // parts
