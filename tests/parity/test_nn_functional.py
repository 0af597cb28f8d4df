"""Layers' functions and modules against PyTorch: values, gradients, second gradients, errors."""

from __future__ import annotations

import numpy as np
import pytest

import jittensor

torch = pytest.importorskip("torch")


def _run(lib, function, arrays, second: bool):
    """The result, its gradients and the gradients of those, as arrays."""
    xs = [lib.from_numpy(a.copy()).requires_grad_(True) for a in arrays]
    out = function(lib, lib.nn.functional, *xs)
    first = lib.autograd.grad((out * out).sum(), xs, create_graph=second)
    found = [out, *first]
    if second:
        found += lib.autograd.grad(sum((g * g).sum() for g in first), xs)
    return [x.detach().numpy() for x in found]


CASES = {
    "conv2d": (lambda t, F, x, w, b: F.conv2d(x, w, b, 2, 1, 1, 2),
               (2, 4, 7, 8), (6, 2, 3, 3), (6,)),
    "conv1d_same": (lambda t, F, x, w: F.conv1d(x, w, None, 1, "same", 2), (2, 3, 8), (4, 3, 4)),
    "conv3d_single": (lambda t, F, x, w: F.conv3d(x, w), (2, 3, 4, 4), (2, 2, 2, 2, 3)),
    "conv_transpose2d": (lambda t, F, x, w, b: F.conv_transpose2d(x, w, b, 2, 1, 1, 2),
                         (2, 4, 4, 3), (4, 3, 3, 3), (6,)),
    "conv_transpose_dilated": (lambda t, F, x, w: F.conv_transpose1d(x, w, None, 1, 0, 2, 1, 3),
                               (2, 4, 5), (4, 3, 2)),
    "max_pool2d": (lambda t, F, x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True), (2, 3, 7, 8)),
    "avg_pool2d": (lambda t, F, x: F.avg_pool2d(x, 3, 2, 1, True, False), (2, 3, 7, 8)),
    "adaptive_avg": (lambda t, F, x: F.adaptive_avg_pool2d(x, (3, 2)), (2, 3, 7, 8)),
    "adaptive_max": (lambda t, F, x: F.adaptive_max_pool2d(x, (3, 2)), (2, 3, 7, 8)),
    "batch_norm": (lambda t, F, x, w, b: F.batch_norm(x, None, None, w, b, True),
                   (4, 3, 5), (3,), (3,)),
    "group_norm": (lambda t, F, x, w: F.group_norm(x, 2, w), (2, 4, 5), (4,)),
    "instance_norm": (lambda t, F, x: F.instance_norm(x), (2, 3, 6)),
    "reflect": (lambda t, F, x: F.pad(x, (2, 1, 0, 3), "reflect"), (2, 3, 4, 5)),
    "circular": (lambda t, F, x: F.pad(x, (2, 1), "circular"), (2, 3, 4)),
    "nearest": (lambda t, F, x: F.interpolate(x, scale_factor=1.7), (2, 3, 4, 5)),
    "bilinear": (lambda t, F, x: F.interpolate(x, (7, 3), mode="bilinear"), (2, 3, 4, 5)),
    "antialias": (lambda t, F, x: F.interpolate(x, (3, 3), mode="bicubic", antialias=True),
                  (1, 2, 9, 8)),
    "unfold": (lambda t, F, x: F.unfold(x, 3, 1, 1, 2), (2, 3, 5, 6)),
    "fold": (lambda t, F, x: F.fold(x, (5, 6), 3, 1, 1, 2), (2, 18, 9)),
    "shuffle": (lambda t, F, x: F.pixel_shuffle(F.channel_shuffle(x, 2), 2), (2, 8, 3, 2)),
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_two_gradients(name):
    function, *shapes = CASES[name]
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(s) for s in shapes]
    got, want = (_run(lib, function, arrays, True) for lib in (jittensor, torch))
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("edges", ["zeros", "border", "reflection"])
def test_grid_sample(mode, edges):
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal((2, 2, 4, 5)), rng.uniform(-1.6, 1.6, (2, 3, 3, 2))]

    def function(t, F, x, grid):
        return F.grid_sample(x, grid, mode, edges, align_corners=False)

    got, want = (_run(lib, function, arrays, False) for lib in (jittensor, torch))
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-8)


def test_ctc_loss():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((9, 3, 5))
    targets = rng.integers(1, 5, (3, 4))

    def function(t, F, logits):
        return F.ctc_loss(F.log_softmax(logits, -1), t.from_numpy(targets.copy()),
                          (9, 7, 8), (4, 2, 3))

    got, want = (_run(lib, function, [x], False) for lib in (jittensor, torch))
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9)


def test_max_pool_indices_and_unpool():
    x = np.random.default_rng(0).standard_normal((2, 3, 6, 6)).astype(np.float32)
    results = []
    for lib in (jittensor, torch):
        functional = lib.nn.functional
        y, places = functional.max_pool2d(lib.from_numpy(x), 2, return_indices=True)
        results.append((y.numpy(), places.numpy(), functional.max_unpool2d(y, places, 2).numpy()))
    for a, b in zip(*results, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def test_batch_norm_layer_keeps_statistics():
    x = np.random.default_rng(0).standard_normal((4, 3, 5, 5)).astype(np.float32)
    states = []
    for lib in (jittensor, torch):
        layer = lib.nn.BatchNorm2d(3)
        for k in range(3):
            layer(lib.from_numpy(x + k))
        layer.eval()
        states.append([v.numpy() for v in layer.state_dict().values()]
                      + [layer(lib.from_numpy(x)).detach().numpy()])
    for a, b in zip(*states, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


LAYERS = """Conv2d(4,6,3) Conv2d(4,6,3,2,1,2,2,False,'reflect') ConvTranspose2d(4,6,3,2,1,1)
    Conv1d(4,6,3,padding='same',padding_mode='circular') MaxPool2d(2) AvgPool2d(2) AvgPool1d(2)
    AdaptiveAvgPool2d((None,3)) BatchNorm2d(3) BatchNorm1d(3,affine=False) InstanceNorm1d(3)
    GroupNorm(2,4) LocalResponseNorm(2) ZeroPad2d(1) ConstantPad1d(1,2.) ReflectionPad2d(1)
    Upsample(scale_factor=2) PixelShuffle(2) Fold((4,4),2) Unfold(2) MaxUnpool2d(2) LPPool2d(2,3)
    EmbeddingBag(4,3,mode='sum') TripletMarginLoss() CTCLoss()""".replace(", ", ",").split()


@pytest.mark.parametrize("text", LAYERS)
def test_layers_print_and_start_as_pytorch(text):
    made = []
    for lib in (jittensor, torch):
        lib.manual_seed(3)
        made.append(eval("nn." + text, {"nn": lib.nn}))
    assert repr(made[0]) == repr(made[1])
    ours, theirs = made[0].state_dict(), made[1].state_dict()
    assert list(ours) == list(theirs)
    for name in ours:
        np.testing.assert_allclose(ours[name].numpy(), theirs[name].numpy(), rtol=1e-6, atol=3e-7)


ERRORS = [
    lambda t, F: F.conv2d(t.ones(1, 3, 5, 5), t.ones(4, 2, 3, 3)),
    lambda t, F: F.conv2d(t.ones(1, 3, 5, 5), t.ones(4, 3, 7, 7)),
    lambda t, F: F.conv2d(t.ones(3, 5), t.ones(4, 3, 3, 3)),
    lambda t, F: F.conv2d(t.ones(1, 3, 5, 5), t.ones(4, 3, 3, 3), t.ones(3)),
    lambda t, F: F.conv2d(t.ones(1, 3, 5, 5), t.ones(4, 3, 3, 3), stride=0),
    lambda t, F: F.conv2d(t.ones(1, 3, 5, 5), t.ones(4, 3, 3, 3), padding="same", stride=2),
    lambda t, F: F.conv2d(t.ones(1, 3, 5, 5), t.ones(4, 3, 3, 3), stride=(1, 2, 3)),
    lambda t, F: F.conv_transpose2d(t.ones(1, 3, 5, 5), t.ones(4, 3, 3, 3)),
    lambda t, F: F.conv_transpose2d(t.ones(1, 3, 5, 5), t.ones(3, 3, 3, 3), output_padding=1),
    lambda t, F: F.max_pool2d(t.ones(1, 3, 5, 5), 3, padding=2),
    lambda t, F: F.avg_pool2d(t.ones(1, 3, 5, 5), 7),
    lambda t, F: F.batch_norm(t.ones(1, 3), t.ones(3), t.ones(3), training=True),
    lambda t, F: F.batch_norm(t.ones(2, 3), t.ones(4), t.ones(3)),
    lambda t, F: F.group_norm(t.ones(2, 3), 2),
    lambda t, F: F.pad(t.ones(2, 3, 4), (4, 4), mode="reflect"),
    lambda t, F: F.pad(t.ones(2, 3, 4), (1, 1), mode="foo"),
    lambda t, F: F.interpolate(t.ones(2, 3, 4)),
    lambda t, F: F.interpolate(t.ones(2, 3, 4), scale_factor=2, mode="bilinear"),
    lambda t, F: F.pixel_shuffle(t.ones(2, 3, 4), 2),
]


@pytest.mark.parametrize("case", range(len(ERRORS)))
def test_errors(case):
    raised = []
    for lib in (jittensor, torch):
        with pytest.raises(Exception) as info:      # noqa: PT011
            ERRORS[case](lib, lib.nn.functional)
        raised.append((type(info.value), str(info.value)))
    assert raised[0] == raised[1]
