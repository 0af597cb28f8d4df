"""Blocks of kernels: a LoopNest in, the sides of the blocks that it works on out, and how many
work items a launch has.

Kernels keep blocks on the stack, in the processor's caches; emitters and launches must agree on
their sides.
"""

from __future__ import annotations

from ..graph import dtypes as dt
from ..graph.ops import OPS
from .nest import Launch, LoopNest

TILE_SIDE = 64         # columns of a block where operands are transposed, and most of its rows
TILE_BYTES = 1 << 15   # of all the stack tiles of such a block
COLUMNS = 128          # columns of a block in a column reduction
FEW_COLUMNS = 64       # the same where a block is swept again, while it is in the cache
TALL = 2048            # most rows of such a block, and most elements of rows that are turned
TURNED_ROWS = 64       # most rows of a block whose results lie across them
TURNED_PAD = 16        # elements after a row of its tiles: rows do not share the sets of a cache
TURNED_BYTES = 1 << 20     # of all the stack tiles of such a block
LONG_ROW = 1 << 16     # elements: longer rows are reduced in chunks of this size
GRAIN = 1 << 15        # elements a thread should get at the least
EXPENSIVE = 8          # how many plain operators a transcendental one weighs


def across_rows(nest: LoopNest) -> list[int]:
    """The results that lie across the rows of a row kernel: a block of rows is turned at once."""
    if nest.n_inner != 1:
        return []
    return [k for k, o in enumerate(nest.operands)
            if (o.mode, o.level, o.outer, o.inner) == ("w", "full", "1", "n")]


def columns_of(nest: LoopNest) -> int:
    """The columns of a block in a column reduction."""
    again = any(s.phase for s in nest.body if s.combine or s.level == "full")
    if not again:
        return COLUMNS
    wide = any(s.compute == "f64" for s in nest.body)      # as many bytes, on the stack
    return FEW_COLUMNS // 2 if wide else FEW_COLUMNS


def tile_rows(nest: LoopNest) -> int:
    """The rows of a block of a tiled kernel: fewer where many operands lie across."""
    across = [o.dtype for o in nest.operands if o.outer == "n"]
    return _fitting(TILE_SIDE, TILE_SIDE, across, TILE_BYTES)


def turned_rows(nest: LoopNest) -> int:
    """The rows of a block of a row kernel whose results lie across; 0 where they are none, or too
    many for the stack."""
    across = [nest.operands[k].dtype for k in across_rows(nest)]
    rows = _fitting(TURNED_ROWS, TALL + TURNED_PAD, across, TURNED_BYTES)
    return rows if across and rows * (TALL + TURNED_PAD) * _bytes(across) <= TURNED_BYTES else 0


def _bytes(codes: list[str]) -> int:
    """Bytes of one element of each of these dtypes."""
    sizes = {d.code: d.itemsize for d in dt.BY_NAME.values()}
    return sum(sizes[code] for code in codes)


def _fitting(most: int, width: int, codes: list[str], limit: int) -> int:
    """How many rows of tiles of these dtypes, that wide, fit in `limit` bytes; 16 at the least."""
    a_row = width * _bytes(codes)
    while most > 16 and most * a_row > limit:
        most //= 2
    return most


def share(launch: Launch, nest: LoopNest, sizes: list[int], rows: int, cols: int) -> None:
    """How the launch is cut into work items."""
    cost = max(1, sum(EXPENSIVE if OPS[s.op].expensive else 1 for s in nest.body) // 4)
    if nest.kind == "map":
        launch.total, launch.grain = rows, max(1024, GRAIN // cost)
        if 0 in sizes:
            launch.total = 0
    elif nest.kind == "tiled":
        height = tile_rows(nest)
        tiles = -(-sizes[-2] // height) * -(-sizes[-1] // TILE_SIDE)
        launch.total = rows // max(1, sizes[-1] * sizes[-2]) * tiles
        launch.grain = max(1, GRAIN // (height * TILE_SIDE * cost))
        if 0 in sizes:
            launch.total = 0
    elif nest.kind == "row":
        launch.total, launch.grain = rows, max(1, GRAIN // max(1, cols * cost))
    elif nest.kind == "turned":
        fast, height = sizes[nest.n_outer - 1], turned_rows(nest)
        launch.total = rows // max(fast, 1) * -(-fast // height)
        launch.grain = max(1, GRAIN // max(1, cols * cost * height))
    elif nest.kind in ("col", "wide"):
        fast = sizes[nest.n_outer - 1] if nest.n_outer else 1
        columns = columns_of(nest)
        launch.total = rows // max(fast, 1) * -(-fast // columns)
        launch.grain = max(1, GRAIN // max(1, cols * columns))
    else:
        chunks = max(1, -(-cols // LONG_ROW))
        launch.total, launch.grain, launch.finish = rows * chunks, 1, True
        reductions = sum(1 for s in nest.body if s.combine)
        launch.words.append(chunks)
        launch.words.append(("scratch", 0))
        launch.scratch = rows * chunks * reductions * 16
