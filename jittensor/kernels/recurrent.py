"""Recurrent layers: an opaque entry for one layer and direction in, the launch of its loop out.

`lstm`, `gru`, `rnn_tanh` and `rnn_relu` read the input's projection [rows, gates * hidden], the
recurrent weight [gates * hidden, state], the first state [batch, state] and what else the cell
has, and leave everything in one flat result, whose parts `forward_regions` names. Their
`_backward` twins read that and the gradients of output and last state and leave the gradients of
projection and first state (`backward_regions`). The length of a sequence and its batch are words
of the launch, so that no other length or batch compiles anything.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..compiler.nest import Launch
from ..config import config
from ..graph.ops import OPAQUE, composite
from .recurrent_source import (
    BACKWARD_WORDS,
    FORWARD_WORDS,
    PANEL,
    backward_source,
    forward_source,
    pack_source,
)

ALONE = 1 << 18        # multiplications of a whole sequence that are not worth a second thread
PACKED = 1 << 15       # elements of a weight that a thread packs at the least


@dataclass(frozen=True)
class Cell:
    """What of a cell does not depend on sizes: the gates of its products, how many values a unit
    keeps for backward, whether it has a state beside the output."""

    gates: int
    kept: int
    memory: bool = False


CELLS = {"lstm": Cell(4, 4, True), "gru": Cell(3, 4), "rnn_tanh": Cell(1, 0),
         "rnn_relu": Cell(1, 0)}


@dataclass(frozen=True)
class Sizes:
    """Rows of all steps together, batch, hidden units, width of the state; whether the rows come
    with the number of them in each step."""

    rows: int
    batch: int
    hidden: int
    state: int
    packed: bool


def _laid_out(lengths: dict[str, int]) -> tuple[dict[str, int], int]:
    """Offsets of regions one behind the other, each on a 64-byte line, and where they end."""
    offsets, end = {}, 0
    for name, length in lengths.items():
        offsets[name] = end
        end += -(-length // 16) * 16
    return offsets, end


def forward_regions(cell: str, n: Sizes, reverse: bool, save: bool) -> tuple[dict[str, int], int]:
    """Where the parts of a result begin, in elements, and its length.

    `out` [rows, state]; `before` [batch, state], the first state, stands just before it (behind
    it when reversed), so that the states before each step are one matrix; `hn` [batch, state] and
    `cn` [batch, hidden], the last states; `gates` [rows, kept * hidden], `cells` [rows, hidden]
    and `raw` [rows, hidden], the unprojected output, are for backward (without `save` they hold
    one step only).
    """
    what = CELLS[cell]
    rows = n.rows if save else n.batch
    offsets, end = _laid_out({
        "states": (n.rows + n.batch) * n.state, "hn": n.batch * n.state,
        "cn": n.batch * n.hidden * what.memory, "cells": rows * n.hidden * what.memory,
        "gates": rows * n.hidden * what.kept,
        "raw": rows * n.hidden * (n.state != n.hidden)})
    states = offsets["states"]
    offsets["out"] = states if reverse else states + n.batch * n.state
    offsets["before"] = states + n.rows * n.state if reverse else states
    return offsets, end


def backward_regions(cell: str, n: Sizes) -> tuple[dict[str, int], int]:
    """`dx` [rows, gates * hidden], the gradient of the input's projection; `dh0` and `dc0`, those
    of the first state; `dp` [rows, gates * hidden], that of the recurrent products where it is
    another (GRU); `dh` [rows, state], that of the projected output."""
    what = CELLS[cell]
    width = what.gates * n.hidden
    return _laid_out({
        "dx": n.rows * width, "dh0": n.batch * n.state, "dc0": n.batch * n.hidden * what.memory,
        "dp": n.rows * width * (cell == "gru"), "dh": n.rows * n.state * (n.state != n.hidden)})


def operands(cell: str, projected: bool, packed: bool) -> list[str]:
    """The names of what a cell reads, in order."""
    names = ["xp", "weight", "bias_x", "bias_h", "h0", *["c0"] * CELLS[cell].memory]
    return names + ["project"] * projected + ["sizes"] * packed


def gradient_operands(cell: str, projected: bool, packed: bool) -> list[str]:
    """The names of what a cell's backward reads, in order."""
    names = ["result", "weight", "h0", *["c0"] * CELLS[cell].memory]
    names += ["project"] * projected + ["sizes"] * packed
    return names + ["grad_out", "grad_hn"] + ["grad_cn"] * CELLS[cell].memory


def sizes_of(cell: str, rows: int, weight, h0, packed: bool) -> Sizes:
    """The sizes of a layer, from the specs of its recurrent weight and first state."""
    hidden = weight.shape[0] // CELLS[cell].gates
    return Sizes(rows, h0.shape[0], hidden, h0.shape[1], packed)


def _addresses(entry, index: int, names: list[str], place) -> tuple[dict, tuple]:
    """(the address word of each operand, memory and byte offset of the result)."""
    found = {}
    for name, spec, source, offset, slot in zip(names, entry.reads, entry.srcs, entry.offsets,
                                                entry.slots, strict=True):
        p = place(source, offset, slot)
        found[name] = ("address", p.memory, p.offset * spec.dtype.itemsize)
    out = place(index, 0, -1)
    return found, (out.memory, out.offset * entry.spec.dtype.itemsize)


def _packing(source: tuple, n: int, k: int, transposed: bool, at: int, code: str,
             origin) -> tuple[Launch, int]:
    """The launch that packs a weight [k, n] ([n, k] if transposed) into scratch memory at a byte
    offset, and where that ends."""
    panels, item = -(-n // PANEL[code]), 4 if code == "f32" else 8
    strides = (1, k) if transposed else (n, 1)
    size = panels * PANEL[code] * k * item
    words = [source, ("scratch", at), n, k, *strides]
    return Launch(pack_source(code), words, panels, max(1, PACKED // max(1, PANEL[code] * k)),
                  scratch=at + size, moved=2 * n * k * item, origin=origin, label="pack"), at + size


def _launches(entry, names: list[str], source: str, words: dict, n: Sizes, products: list,
              label: str) -> list[Launch]:
    """Packing of the weights, then the loop. `products` are (weight, columns, inner size,
    transposed) of the recurrent product and of the projection's."""
    code, item = entry.spec.dtype.code, entry.spec.dtype.itemsize
    launches, end = [], 0
    for (name, columns, inner, transposed), rows in zip(products, ("scratch", "extra"),
                                                        strict=False):
        packing, end = _packing(words[name], columns, inner, transposed, end, code, entry.origin)
        launches.append(packing)
        words[name] = packing.words[1]
        words[rows] = ("scratch", end)
        end += n.batch * -(-columns // PANEL[code]) * PANEL[code] * item
    work = n.rows * sum(columns * inner for _, columns, inner, _ in products)
    grain = n.batch if work < ALONE else -(-n.batch // config.threads)
    words.update(batch=n.batch, hidden=n.hidden, state=n.state, items=n.rows,
                 steps=_steps(entry, names, n))
    order = FORWARD_WORDS if "xp" in names else BACKWARD_WORDS
    launches.append(Launch(source, [words.get(name, 0) for name in order],
                           n.batch, max(1, grain), scratch=end, moved=2 * entry.spec.nbytes,
                           work=2 * work, origin=entry.origin, label=label))
    return launches


def _steps(entry, names: list[str], n: Sizes) -> int:
    if n.packed:
        return entry.reads[names.index("sizes")].shape[0]
    return n.rows // n.batch if n.batch else 0


def _forward(cell: str):
    def launches(graph, index: int, place) -> list[Launch]:
        entry = graph.entries[index]
        reverse, save, projected, packed = entry.attrs
        names = operands(cell, projected, packed)
        words, (memory, base) = _addresses(entry, index, names, place)
        reads = dict(zip(names, entry.reads, strict=True))
        n = sizes_of(cell, reads["xp"].shape[0], reads["weight"], reads["h0"], packed)
        item = entry.spec.dtype.itemsize
        for name, at in forward_regions(cell, n, reverse, save)[0].items():
            words[name] = ("address", memory, base + at * item)
        words.update(reverse=int(reverse), keep=int(save))
        source = forward_source(cell, entry.spec.dtype.code, projected)
        products = [("weight", CELLS[cell].gates * n.hidden, n.state, True)]
        if projected:
            products.append(("project", n.state, n.hidden, True))
        return _launches(entry, names, source, words, n, products, cell)

    return launches


def _backward(cell: str):
    def launches(graph, index: int, place) -> list[Launch]:
        entry = graph.entries[index]
        reverse, projected, packed, rows = entry.attrs
        names = gradient_operands(cell, projected, packed)
        words, (memory, base) = _addresses(entry, index, names, place)
        n = sizes_of(cell, rows, entry.reads[1], entry.reads[2], packed)
        item = entry.spec.dtype.itemsize
        _, saved, start = words.pop("result")
        for name, at in forward_regions(cell, n, reverse, True)[0].items():
            if name in ("out", "cells", "gates"):
                words[name] = ("address", saved, start + at * item)
        for name, at in backward_regions(cell, n)[0].items():
            words[name] = ("address", memory, base + at * item)
        words["reverse"] = int(reverse)
        source = backward_source(cell, entry.spec.dtype.code, projected)
        products = [("weight", n.state, CELLS[cell].gates * n.hidden, False)]
        if projected:
            products.append(("project", n.hidden, n.state, False))
        return _launches(entry, names, source, words, n, products, cell + "_backward")

    return launches


for _name in CELLS:
    composite(_name, _forward(_name), kind=OPAQUE)
    composite(_name + "_backward", _backward(_name), kind=OPAQUE)
