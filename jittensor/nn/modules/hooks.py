"""In: functions that a user hangs on modules. Out: handles that take them off, and module calls
that run them in PyTorch's order.
"""

from __future__ import annotations

import functools
import warnings
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ... import autograd
from ...tensor import Tensor

if TYPE_CHECKING:
    from .module import Module

__all__ = ["RemovableHandle", "add_hook", "call_with_hooks"]


class RemovableHandle:
    """What a `register_*` method returns: `remove()`, or leaving a `with`, takes the hook off.

    Args:
        hooks: the ordered dict that the hook is put in, under `handle.id`.
        extra_dict: dict or list of dicts with marks about the hook, cleared together with it.
    """

    id: int
    next_id: int = 0

    def __init__(self, hooks: OrderedDict, *, extra_dict: Any = None) -> None:
        extras = extra_dict if isinstance(extra_dict, list) else [extra_dict]
        self.hooks_dict_ref = weakref.ref(hooks)
        self.extra_dict_ref = tuple(weakref.ref(d) for d in extras if d is not None)
        self.id = RemovableHandle.next_id
        RemovableHandle.next_id += 1

    def remove(self) -> None:
        """Take the hook off; a second call, or one after the module is gone, does nothing."""
        for reference in (self.hooks_dict_ref, *self.extra_dict_ref):
            hooks = reference()
            if hooks is not None:
                hooks.pop(self.id, None)

    def __getstate__(self) -> tuple:
        return self.hooks_dict_ref(), self.id, tuple(ref() for ref in self.extra_dict_ref)

    def __setstate__(self, state: tuple) -> None:
        hooks, self.id = state[0], state[1]
        extras = state[2] if len(state) > 2 and state[2] is not None else ()
        self.hooks_dict_ref = weakref.ref(OrderedDict() if hooks is None else hooks)
        self.extra_dict_ref = tuple(weakref.ref(d) for d in extras)
        RemovableHandle.next_id = max(RemovableHandle.next_id, self.id + 1)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()


def add_hook(
    hooks: OrderedDict,
    hook: Callable,
    *,
    prepend: bool = False,
    marks: Iterable[tuple[OrderedDict, bool]] = (),
) -> RemovableHandle:
    """Put `hook` last (or first) in `hooks`, and its id in the dicts of `marks` that say True."""
    marks = list(marks)
    handle = RemovableHandle(hooks, extra_dict=[marked for marked, _ in marks])
    hooks[handle.id] = hook
    for marked, wanted in marks:
        if wanted:
            marked[handle.id] = True
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


# Hooks that every module runs, before its own ones where it is a forward hook.
global_forward_pre_hooks: OrderedDict = OrderedDict()
global_forward_hooks: OrderedDict = OrderedDict()
global_forward_hooks_with_kwargs: OrderedDict = OrderedDict()
global_forward_hooks_always_called: OrderedDict = OrderedDict()
global_backward_pre_hooks: OrderedDict = OrderedDict()
global_backward_hooks: OrderedDict = OrderedDict()
global_parameter_registration_hooks: OrderedDict = OrderedDict()
global_buffer_registration_hooks: OrderedDict = OrderedDict()
global_module_registration_hooks: OrderedDict = OrderedDict()
_global_kind: dict[str, bool | None] = {"is_full": None}


def register_module_forward_pre_hook(hook: Callable) -> RemovableHandle:
    """Run `hook(module, args)` before the forward of every module."""
    return add_hook(global_forward_pre_hooks, hook)


def register_module_forward_hook(
    hook: Callable, *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Run `hook(module, args[, kwargs], output)` after the forward of every module."""
    marks = [
        (global_forward_hooks_with_kwargs, with_kwargs),
        (global_forward_hooks_always_called, always_call),
    ]
    return add_hook(global_forward_hooks, hook, marks=marks)


def register_module_full_backward_pre_hook(hook: Callable) -> RemovableHandle:
    """Run `hook(module, grad_output)` before the backward of every module."""
    return add_hook(global_backward_pre_hooks, hook)


def register_module_full_backward_hook(hook: Callable) -> RemovableHandle:
    """Run `hook(module, grad_input, grad_output)` after the backward of every module."""
    return _add_global_backward_hook(hook, full=True)


def register_module_backward_hook(hook: Callable) -> RemovableHandle:
    """The older form of `register_module_full_backward_hook`; the two cannot be mixed."""
    return _add_global_backward_hook(hook, full=False)


def _add_global_backward_hook(hook: Callable, *, full: bool) -> RemovableHandle:
    if _global_kind["is_full"] is (not full):
        raise RuntimeError(
            "Cannot use both regular backward hooks and full backward hooks as a global Module "
            "hook. Please use only one of them."
        )
    _global_kind["is_full"] = full
    return add_hook(global_backward_hooks, hook)


def register_module_parameter_registration_hook(hook: Callable) -> RemovableHandle:
    """Run `hook(module, name, parameter)` on every registration; what it returns is registered."""
    return add_hook(global_parameter_registration_hooks, hook)


def register_module_buffer_registration_hook(hook: Callable) -> RemovableHandle:
    """Run `hook(module, name, buffer)` on every registration; what it returns is registered."""
    return add_hook(global_buffer_registration_hooks, hook)


def register_module_module_registration_hook(hook: Callable) -> RemovableHandle:
    """Run `hook(module, name, submodule)` on every registration; what it returns is registered."""
    return add_hook(global_module_registration_hooks, hook)


def registered(hooks: OrderedDict, module: Module, name: str, value: Any) -> Any:
    """What the registration hooks make of `value`."""
    for hook in hooks.values():
        replacement = hook(module, name, value)
        if replacement is not None:
            value = replacement
    return value


# ── one call of a module that has hooks ──────────────────────────────────────────────────────────


class _Call:
    """The arguments and the result of one call, as the hooks so far have left them."""

    def __init__(self, module: Module, args: tuple, kwargs: dict[str, Any]) -> None:
        self.module, self.args, self.kwargs = module, args, kwargs
        self.result: Any = None
        self.always_called: set[int] = set()

    def run(self) -> Any:
        module = self.module
        self.run_forward_pre_hooks()
        boundary = None
        full, older = _split_backward_hooks(module)
        pre = [*global_backward_pre_hooks.values(), *module._backward_pre_hooks.values()]
        if full or pre:
            boundary = BackwardBoundary(module, full, pre)
            self.args = boundary.wrap_inputs(self.args)
        self.result = module.forward(*self.args, **self.kwargs)
        self.run_forward_hooks()
        if boundary is not None:
            self.result = boundary.wrap_outputs(self.result)
        if older:
            _hang_on_grad_fn(module, older, self.result)
        return self.result

    def run_forward_pre_hooks(self) -> None:
        module = self.module
        for key, hook in (*global_forward_pre_hooks.items(), *module._forward_pre_hooks.items()):
            if key in module._forward_pre_hooks_with_kwargs:
                changed = hook(module, self.args, self.kwargs)
                if changed is None:
                    continue
                if not (isinstance(changed, tuple) and len(changed) == 2):
                    raise RuntimeError(
                        "forward pre-hook must return None or a tuple of (new_args, new_kwargs), "
                        f"but got {changed}."
                    )
                self.args, self.kwargs = changed
            else:
                changed = hook(module, self.args)
                if changed is not None:
                    self.args = changed if isinstance(changed, tuple) else (changed,)

    def forward_hooks(self) -> Iterator[tuple[int, Callable, bool, bool]]:
        """(key, hook, called even after an error, takes kwargs) of every forward hook."""
        module = self.module
        for key, hook in list(global_forward_hooks.items()):
            always = key in global_forward_hooks_always_called
            yield key, hook, always, key in global_forward_hooks_with_kwargs
        for key, hook in list(module._forward_hooks.items()):
            always = key in module._forward_hooks_always_called
            yield key, hook, always, key in module._forward_hooks_with_kwargs

    def run_forward_hook(self, hook: Callable, takes_kwargs: bool) -> None:
        arguments = (self.args, self.kwargs) if takes_kwargs else (self.args,)
        changed = hook(self.module, *arguments, self.result)
        if changed is not None:
            self.result = changed

    def run_forward_hooks(self) -> None:
        for key, hook, always, takes_kwargs in self.forward_hooks():
            if always:
                self.always_called.add(key)
            self.run_forward_hook(hook, takes_kwargs)

    def run_missed_hooks(self) -> None:
        """After an error: the `always_call` hooks that the error kept from being called."""
        for key, hook, always, takes_kwargs in self.forward_hooks():
            if not always or key in self.always_called:
                continue
            try:
                self.run_forward_hook(hook, takes_kwargs)
            except Exception as error:
                kind = "global module" if key in global_forward_hooks else "module"
                warnings.warn(
                    f"{kind} forward hook with ``always_call=True`` raised an exception that was "
                    f"silenced as another error was raised in forward: {error!s}",
                    stacklevel=4,
                )


def call_with_hooks(module: Module, args: tuple, kwargs: dict[str, Any]) -> Any:
    """Call `module.forward(*args, **kwargs)` with all hooks that are on the module or global."""
    call = _Call(module, args, kwargs)
    try:
        return call.run()
    except Exception:
        call.run_missed_hooks()
        raise


def _split_backward_hooks(module: Module) -> tuple[list[Callable], list[Callable]]:
    """The full backward hooks and the ones of the older form, global ones first."""
    full: list[Callable] = []
    older: list[Callable] = []
    (full if _global_kind["is_full"] else older).extend(global_backward_hooks.values())
    (full if module._is_full_backward_hook else older).extend(module._backward_hooks.values())
    return full, older


def _hang_on_grad_fn(module: Module, hooks: list[Callable], result: Any) -> None:
    """The older backward hooks see the gradients of the one operation that made the output."""
    output = result
    while not isinstance(output, Tensor):
        if isinstance(output, dict):
            output = next(value for value in output.values() if isinstance(value, Tensor))
        else:
            output = output[0]
    if output.grad_fn is None:
        return
    for hook in hooks:
        output.grad_fn.register_hook(functools.partial(hook, module))


# ── full backward hooks ──────────────────────────────────────────────────────────────────────────


@functools.cache
def _boundary_function() -> type:
    # Made on first use, and named so that `grad_fn` prints as PyTorch's does.
    class BackwardHookFunction(autograd.Function):
        """The identity on some tensors, whose backward passes all their gradients through."""

        @staticmethod
        def forward(ctx: Any, through: Callable, *tensors: Tensor) -> tuple[Tensor, ...]:
            ctx.through = through
            ctx.set_materialize_grads(False)
            ctx.mark_non_differentiable(*(t for t in tensors if not t.requires_grad))
            return tensors

        @staticmethod
        def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
            return None, *ctx.through(grads)

    return BackwardHookFunction


class BackwardBoundary:
    """Two identities around one call of a module, which see the gradients pass.

    The one on the outputs runs the pre-hooks and keeps `grad_output`; the one on the inputs runs
    the hooks, whose answer replaces `grad_input`.
    """

    def __init__(self, module: Module, hooks: list[Callable], pre_hooks: list[Callable]) -> None:
        self.module, self.hooks, self.pre_hooks = module, hooks, pre_hooks
        self.grad_outputs: tuple | None = None
        self.inputs_count = self.outputs_count = 0
        self.input_positions: list[int] | None = None
        self.output_positions: list[int] | None = None

    def wrap_inputs(self, args: tuple) -> tuple:
        """The positional arguments, with the boundary under the tensors among them."""
        self.inputs_count = len(args)
        wrapped, self.input_positions = _wrap(args, self._inputs_through)
        return wrapped

    def wrap_outputs(self, result: Any) -> Any:
        """The module's result with the boundary over its tensors."""
        if not isinstance(result, (Tensor, tuple)):
            warnings.warn(
                "For backward hooks to be called, module output should be a Tensor or a tuple of "
                f"Tensors but received {type(result)}",
                stacklevel=5,
            )
        outputs = result if isinstance(result, tuple) else (result,)
        self.outputs_count = len(outputs)
        wrapped, self.output_positions = _wrap(outputs, self._outputs_through)
        return wrapped if isinstance(result, tuple) else wrapped[0]

    def _outputs_through(self, grads: tuple) -> tuple:
        grad_outputs = _spread(grads, self.output_positions, self.outputs_count)
        for hook in self.pre_hooks:
            changed = hook(self.module, grad_outputs)
            if changed is None:
                continue
            if len(changed) != len(grad_outputs):
                raise RuntimeError(
                    "Backward pre hook returned an invalid number of grad_output, "
                    f"got {len(changed)}, but expected {len(grad_outputs)}"
                )
            grad_outputs = changed
        self.grad_outputs = grad_outputs
        if self.input_positions is None:
            self._run_hooks_without_inputs()
        return tuple(grad_outputs[i] for i in self.output_positions)

    def _run_hooks_without_inputs(self) -> None:
        warnings.warn(
            "Full backward hook is firing when gradients are computed with respect to module "
            "outputs since no inputs require gradients.",
            stacklevel=5,
        )
        nothing = (None,) * self.inputs_count
        for hook in self.hooks:
            changed = hook(self.module, nothing, self.grad_outputs)
            all_none = isinstance(changed, tuple) and all(grad is None for grad in changed)
            if changed is not None and not all_none:
                raise RuntimeError(
                    "Backward hook for Modules where no input requires gradient should always "
                    "return None or None for all gradients."
                )
        self.grad_outputs = None

    def _inputs_through(self, grads: tuple) -> tuple:
        if self.grad_outputs is None:
            # Only the inputs' gradients were asked for, not through the module's outputs.
            return grads
        grad_inputs = _spread(grads, self.input_positions, self.inputs_count)
        for hook in self.hooks:
            changed = hook(self.module, grad_inputs, self.grad_outputs)
            if changed is None:
                continue
            if len(changed) != len(grad_inputs):
                raise RuntimeError(
                    "Backward hook returned an invalid number of grad_input, "
                    f"got {len(changed)}, but expected {len(grad_inputs)}"
                )
            grad_inputs = changed
        self.grad_outputs = None
        return tuple(grad_inputs[i] for i in self.input_positions)


def _spread(values: tuple, positions: list[int], count: int) -> tuple:
    """A tuple of `count` with `values` at `positions` and None elsewhere."""
    spread: list[Any] = [None] * count
    for position, value in zip(positions, values, strict=True):
        spread[position] = value
    return tuple(spread)


def _wrap(values: tuple, through: Callable) -> tuple[tuple, list[int] | None]:
    """`values` with the boundary on its tensors, and their positions; None: none needs it."""
    positions = [i for i, value in enumerate(values) if isinstance(value, Tensor)]
    needed = any(values[i].requires_grad for i in positions) and autograd.is_grad_enabled()
    if not needed:
        return values, None
    passed = _boundary_function().apply(through, *(values[i] for i in positions))
    wrapped = list(values)
    for position, tensor in zip(positions, passed, strict=True):
        wrapped[position] = tensor
    return (tuple(wrapped) if type(values) is tuple else type(values)(*wrapped)), positions
