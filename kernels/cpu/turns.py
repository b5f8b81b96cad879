"""Which way a run reads the weights: from the first to the last, then from the last to the first, in turn.

Of weights that do not fit into the second-level cache a run finds there, at best, what the run before read last. Read
in one order run after run, that is what is needed last, and it is gone by then. In alternating orders it is what is
needed first: 2 MB come at 39 instead of 24 GB/s on a Xeon with 1 MB (the third level gives 24, whatever the number of
streams and the distance of prefetches).

Only the order in which outputs are computed may follow the turn, never that of the additions of one output.
"""

from __future__ import annotations

from ..contract import CONTEXT_WORDS

TURN = CONTEXT_WORDS
"""Word of the context behind those of the contract: how many runs there were before this one."""

NATIVE_CONTEXT_WORDS = CONTEXT_WORDS + 1
