"""In: a sequence and the weights of one layer and direction. Out: its outputs and last states.

The layer is one matrix product of the whole sequence with the input weight and one opaque
operator that runs the loop over time; backward is one such operator and a product for each
gradient. Where gradients are differentiated themselves (`create_graph`), the loop is recorded step
by step instead: second derivatives of the opaque operators would need kernels of their own, and
nobody trains by them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ... import functions
from ...autograd.engine import grad as gradients_of
from ...autograd.function import Function
from ...autograd.modes import enable_grad, modes
from ...creation import from_numpy, zeros
from ...graph.node import spec_of
from ...kernels import recurrent as kernels
from ...record import apply
from ...tensor import Tensor, new_tensor
from .recurrent_cells import advance


def _part(whole: Tensor, offset: int, *shape: int) -> Tensor:
    """A part of a flat result, outside autograd."""
    return new_tensor(whole.storage, spec_of(whole.dtype, shape), whole.offset + offset)


def _flat(name: str, tensors: tuple, attrs: tuple, length: int) -> Tensor:
    dtype = tensors[0].dtype
    return apply(name, tuple([x.contiguous() for x in tensors]), attrs,
                 spec=lambda: spec_of(dtype, (length,)))


def _rows_before(sizes: list[int], reverse: bool) -> Tensor:
    """For each row of a packed sequence, the row of [first states, outputs] (of [outputs, first
    states] when reversed) that its step began with."""
    starts = np.cumsum([0, *sizes])
    total, parts = int(starts[-1]), []
    for t, size in enumerate(sizes):
        rows = np.arange(size)
        if not reverse:
            parts.append(rows if t == 0 else rows + sizes[0] + starts[t - 1])
            continue
        after = sizes[t + 1] if t + 1 < len(sizes) else 0
        parts.append(np.where(rows < after, rows + starts[t + 1], rows + total))
    return from_numpy(np.concatenate(parts).astype(np.int64))


class RecurrentLayer(Function):
    """One layer and direction: (rows, input) to (rows, state), (batch, state), (batch, hidden)."""

    @staticmethod
    def forward(ctx: Any, cell: str, reverse: bool, sizes: Tensor | None, x: Tensor, h0: Tensor,
                c0: Tensor | None, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None,
                b_hh: Tensor | None, w_hr: Tensor | None) -> tuple:
        """Output, last state and last memory (the state again where a cell has none)."""
        save = any(ctx.needs_input_grad)
        rows = x.shape[0]
        n = kernels.sizes_of(cell, rows, w_hh, h0, sizes is not None)
        biases = (b_ih, b_hh)
        if b_ih is None:
            biases = (zeros(w_ih.shape[0], dtype=x.dtype),) * 2
        extra = [t for t in (c0, w_hr, sizes) if t is not None]
        offsets, length = kernels.forward_regions(cell, n, reverse, save)
        result = _flat(cell, (functions.linear(x, w_ih), w_hh, *biases, h0, *extra),
                       (reverse, save, w_hr is not None, n.packed), length)
        if save:
            ctx.cell, ctx.reverse, ctx.offsets, ctx.n = cell, reverse, offsets, n
            ctx.save_for_backward(sizes, x, h0, c0, w_ih, w_hh, b_ih, b_hh, w_hr, result)
        out = _part(result, offsets["out"], rows, n.state)
        last = _part(result, offsets["hn"], n.batch, n.state)
        if c0 is None:
            return out, last
        return out, last, _part(result, offsets["cn"], n.batch, n.hidden)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple:
        """Gradients of x, the first states and the weights."""
        if modes.grad:
            return _recorded(ctx, grads)
        sizes, x, h0, c0, w_ih, w_hh, _, _, w_hr, result = ctx.saved_tensors
        cell, n, needs = ctx.cell, ctx.n, ctx.needs_input_grad
        extra = [t for t in (c0, w_hr, sizes) if t is not None]
        offsets, length = kernels.backward_regions(cell, n)
        back = _flat(cell + "_backward", (result, w_hh, h0, *extra, *grads),
                     (ctx.reverse, w_hr is not None, n.packed, n.rows), length)
        width = kernels.CELLS[cell].gates * n.hidden
        dx = _part(back, offsets["dx"], n.rows, width)
        dp = _part(back, offsets["dp"], n.rows, width) if cell == "gru" else dx
        out: list[Tensor | None] = [None] * 11
        if needs[3]:
            out[3] = dx @ w_ih
        out[4] = _part(back, offsets["dh0"], n.batch, n.state)
        if c0 is not None:
            out[5] = _part(back, offsets["dc0"], n.batch, n.hidden)
        if needs[6]:
            out[6] = dx.mT @ x
        if needs[7]:
            out[7] = dp.mT @ _before(ctx, result, sizes)
        if needs[8] or needs[9]:
            out[8] = dx.sum(0)
            out[9] = dp.sum(0) if dp is not dx else out[8].clone()
        if w_hr is not None and needs[10]:
            raw = _part(result, ctx.offsets["raw"], n.rows, n.hidden)
            out[10] = _part(back, offsets["dh"], n.rows, n.state).mT @ raw
        return tuple(out)


def _before(ctx: Any, result: Tensor, sizes: Tensor | None) -> Tensor:
    """The states that the steps began with, [rows, state]."""
    n = ctx.n
    if sizes is None:
        return _part(result, ctx.offsets["out" if ctx.reverse else "before"]
                     + ctx.reverse * n.batch * n.state, n.rows, n.state)
    states = _part(result, ctx.offsets["states"], n.rows + n.batch, n.state)
    return states.index_select(0, _rows_before(sizes.tolist(), ctx.reverse))


def _recorded(ctx: Any, grads: tuple) -> tuple:
    """The gradients as recorded operations, from the layer run again step by step."""
    sizes, *tensors = ctx.saved_tensors[:-1]
    steps = sizes.tolist() if sizes is not None else [ctx.n.batch] * (ctx.n.rows // ctx.n.batch)
    with enable_grad():
        # aliases, so that hooks of the originals do not see these gradients
        again = [None if t is None else t.view_as(t) for t in tensors]
        outputs = unrolled(ctx.cell, ctx.reverse, steps, *again)
        wanted = [k for k, t in enumerate(again) if t is not None and ctx.needs_input_grad[k + 3]]
        found = gradients_of([o for o in outputs if o is not None], [again[k] for k in wanted],
                             list(grads), create_graph=True, allow_unused=True)
    out: list[Tensor | None] = [None] * 11
    for k, g in zip(wanted, found, strict=True):
        out[k + 3] = g
    return tuple(out)


def unrolled(cell: str, reverse: bool, sizes: list[int], x: Tensor, h: Tensor, c: Tensor | None,
             w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None, b_hh: Tensor | None,
             w_hr: Tensor | None) -> tuple:
    """A layer, recorded step by step: the definition of what `RecurrentLayer` computes."""
    projection = functions.linear(x, w_ih, b_ih)
    starts = np.cumsum([0, *sizes]).tolist()
    outputs: list[Tensor] = [x] * len(sizes)
    order = range(len(sizes))
    for t in reversed(order) if reverse else order:
        size = sizes[t]
        hx, cx = h[:size], None if c is None else c[:size]
        hx, cx = advance(cell, projection[starts[t]:starts[t + 1]],
                         functions.linear(hx, w_hh, b_hh), hx, cx)
        if w_hr is not None:
            hx = functions.linear(hx, w_hr)
        outputs[t] = hx
        h = functions.cat([hx, h[size:]]) if size < h.shape[0] else hx
        if c is not None:
            c = functions.cat([cx, c[size:]]) if size < c.shape[0] else cx
    return functions.cat(outputs), h, c
