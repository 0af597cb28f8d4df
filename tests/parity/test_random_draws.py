"""The same seed, the same draws: our generator beside PyTorch's, values and states."""

import numpy as np
import pytest

import jittensor
from jittensor.kernels.random_arithmetic import inside_out, permute
from jittensor.kernels.random_draws import MersenneTwister, bfloat16_values

torch = pytest.importorskip("torch")

SIZES = (0, 1, 5, 15, 16, 17, 31, 32, 100, 1000, 16384, 16385, 40001)
THREE_ULPS = 3.6e-7
FLOATS = ("float16", "bfloat16", "float32", "float64")
INTEGERS = ("uint8", "int8", "int16", "int32", "int64")


def bits(tensor):
    """A tensor's numbers as NumPy has them, bfloat16 as uint16."""
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.uint16).numpy()
    return tensor.numpy()


def pair(seed):
    return MersenneTwister(seed), torch.Generator().manual_seed(seed)


def assert_same(ours, theirs, generator=None, reference=None):
    expected = bits(theirs)
    assert ours.dtype == expected.dtype and ours.shape == expected.shape
    np.testing.assert_array_equal(ours, expected)
    if generator is not None:
        assert_same_state(generator, reference)


def assert_same_state(generator, reference):
    np.testing.assert_array_equal(generator.get_state(), reference.get_state().numpy())


def assert_near(ours, theirs, dtype, scale=1.0):
    """Equal to the bound of the dtype, relative to the number or to `scale` if that is larger."""
    if dtype == "bfloat16":
        ours, theirs = bfloat16_values(ours), theirs.float()
    bound = {"float64": 1e-14, "float32": THREE_ULPS, "float16": 1e-3, "bfloat16": 8e-3}[dtype]
    ours, theirs = ours.astype(np.float64), theirs.double().numpy()
    np.testing.assert_array_less(np.abs(ours - theirs), bound * np.maximum(scale, np.abs(theirs)))


@pytest.mark.parametrize("seed", [0, 1, 42, 2**31, 2**32 + 7, 2**63 + 11, -1, -(2**63)])
def test_seeds_and_fresh_state(seed):
    generator, reference = pair(seed)
    assert_same_state(generator, reference)
    assert generator.initial_seed() == reference.initial_seed()
    for n in (1, 622, 1, 1, 623, 624, 3):  # over the edges of a block of 624 words
        assert_same(generator.uniform(n), torch.rand(n, generator=reference), generator, reference)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    "low, high",
    [
        (0, 1),
        (-0.1, 0.1),
        (0.3, 7.7),
        (-3.3, 1.1),
        (1000, 1001.7),
        (1 / 3, 1 / 3),
        (-1 / 28, 1 / 28),
    ],
)
def test_uniform(dtype, low, high):
    generator, reference = pair(5)
    for n in SIZES:
        theirs = torch.empty(n, dtype=getattr(torch, dtype)).uniform_(
            low, high, generator=reference
        )
        assert_same(generator.uniform(n, dtype, low, high), theirs, generator, reference)


@pytest.mark.parametrize("low, high", [(1e5, 1e5 + 1.7), (1e7, 1e7 + 3), (-1e-3, 5e4)])
def test_uniform_where_the_sum_is_rounded_twice(low, high):
    generator, reference = pair(9)
    for dtype in ("float32", "float64"):
        theirs = torch.empty(200_000, dtype=getattr(torch, dtype))
        theirs.uniform_(low, high, generator=reference)
        assert_same(generator.uniform(200_000, dtype, low, high), theirs)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("mean, std", [(0, 1), (0, 0.02), (3, 2), (-1.5, 0)])
def test_normal(dtype, mean, std):
    generator, reference = pair(6)
    for n in SIZES:
        theirs = torch.empty(n, dtype=getattr(torch, dtype)).normal_(mean, std, generator=reference)
        assert_near(generator.normal(n, dtype, mean, std), theirs, dtype, max(1, 4 * std))
        # all but the spare normal, whose last bits are those of the sine
        ours, expected = generator.get_state(), reference.get_state().numpy().copy()
        np.testing.assert_allclose(
            ours[5024:5032].view(np.float64), expected[5024:5032].view(np.float64), rtol=1e-13
        )
        ours[5024:5032] = expected[5024:5032] = 0
        np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("mean, std", [(0, 1), (0, 0.02), (3, 2)])
def test_normal_float32_bit_for_bit(mean, std):
    generator, reference = pair(2)
    theirs = torch.empty(500_009).normal_(mean, std, generator=reference)
    ours = generator.normal(500_009, mean=mean, std=std)
    if "AVX" in torch.backends.cpu.get_cpu_capability():
        assert_same(ours, theirs, generator, reference)
    else:  # PyTorch calls the C library's functions there
        assert_near(ours, theirs, "float32", max(1, 4 * std))


def test_normal_into_strided_tensor():
    generator, reference = pair(8)
    theirs = torch.empty(7, 9).t()[:, ::2].normal_(generator=reference)
    ours = generator.normal(36, contiguous=False)
    # PyTorch fills in the order of memory, which here is that of the transpose
    assert_near(ours, theirs.t().contiguous().reshape(-1), "float32")


def test_spare_normal_waits_and_is_forgotten():
    generator, reference = pair(3)
    for n in (3, 20, 1, 2, 5, 4):  # the draw of 20 leaves the spare one alone
        assert_near(generator.normal(n), torch.randn(n, generator=reference), "float32")
    assert_near(generator.normal(1), torch.randn(1, generator=reference), "float32")
    generator.manual_seed(3), reference.manual_seed(3)
    assert_same_state(generator, reference)


def test_complex_normal_is_the_real_view():
    generator, reference = pair(4)
    theirs = torch.randn(50, dtype=torch.complex64, generator=reference)
    assert_near(
        generator.normal(100, std=2**-0.5), torch.view_as_real(theirs).reshape(-1), "float32"
    )


@pytest.mark.parametrize("draw", [
    lambda t: t.randn(3, dtype=t.complex64), lambda t: t.randn(20, dtype=t.complex128),
    lambda t: t.rand(3, dtype=t.complex64), lambda t: t.rand_like(t.ones(2, dtype=t.complex128)),
    lambda t: t.ones(2, dtype=t.complex64).normal_(1, 2),
    lambda t: t.nn.Linear(2, 1, dtype=t.complex64).weight.detach(),
])  # fmt: skip
def test_complex_draws(draw):
    torch.manual_seed(5), jittensor.manual_seed(5)
    np.testing.assert_allclose(draw(jittensor).numpy(), draw(torch).numpy(), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS, "bool", "uint16", "uint32", "uint64"])
@pytest.mark.parametrize(
    "low, high",
    [(0, 2), (0, 1), (0, 10), (3, 100), (-100, 27), (0, 2**15 - 1),
     (-7, 2**28 - 8), (-7, 2**28 - 7), (0, 2**31 - 1), (5, 2**32 + 9),
     (-(2**63), 2**63 - 1), (0, 2**53), (2**40, 2**40 + 3)],
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*out of bounds.*:UserWarning")
def test_randint(dtype, low, high):
    generator, reference = pair(7)
    for n in (0, 1, 6, 700, 20000):
        try:
            theirs = torch.empty(n, dtype=getattr(torch, dtype))
            theirs.random_(low, high, generator=reference)
        except RuntimeError as error:
            with pytest.raises(RuntimeError) as caught:
                generator.randint(n, low, high, dtype)
            assert str(error)[:8] == str(caught.value)[:8]
            return
        assert_same(generator.randint(n, low, high, dtype), theirs, generator, reference)


@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS, "bool", "uint16", "uint32"])
@pytest.mark.parametrize("low", [0, 1, 100, -100, 2**30, -(2**63)])
@pytest.mark.filterwarnings("ignore:.*out of bounds.*:UserWarning")
def test_random_up_to_the_last(dtype, low):
    generator, reference = pair(17)
    try:
        theirs = torch.empty(500, dtype=getattr(torch, dtype))
        theirs.random_(low, None, generator=reference)
    except (RuntimeError, NotImplementedError) as error:
        with pytest.raises((RuntimeError, NotImplementedError)):
            generator.randint(500, low, None, dtype)
        assert error
        return
    assert_same(generator.randint(500, low, None, dtype), theirs, generator, reference)


@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS, "bool"])
def test_random_without_bounds(dtype):
    generator, reference = pair(11)
    for n in (0, 1, 3000):
        theirs = torch.empty(n, dtype=getattr(torch, dtype)).random_(generator=reference)
        assert_same(generator.random_(n, dtype), theirs, generator, reference)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 10, 399, 400, 401, 1000, 60000, 200000])
def test_randperm(n):
    generator, reference = pair(12)
    for _ in range(3):
        theirs = torch.randperm(n, generator=reference)
        assert_same(generator.randperm(n), theirs, generator, reference)


@pytest.mark.parametrize(
    "dtype, n",
    [("uint8", 200), ("int16", 1000), ("int32", 1000), ("float32", 99), ("float16", 2000),
     ("bfloat16", 250), ("float64", 500)],
)  # fmt: skip
def test_randperm_dtypes(dtype, n):
    generator, reference = pair(13)
    theirs = torch.randperm(n, dtype=getattr(torch, dtype), generator=reference)
    assert_same(generator.randperm(n, dtype), theirs, generator, reference)


def uses_mkl():
    """Whether this build draws masks of one probability from MKL: then one word is all it takes."""
    generator = torch.Generator().manual_seed(0)
    torch.empty(100).bernoulli_(0.5, generator=generator)
    return int(generator.get_state().numpy()[16:24].view(np.int64)[0]) == 1


@pytest.mark.parametrize("p", [0.0, 1.0, 0.5, 0.1, 0.9, 1 / 3, 1e-9, 2**-53, 1 - 2**-53])
def test_bernoulli_is_a_comparison_with_float64_uniforms(p):
    generator, reference = pair(14)
    for n in (0, 1, 700, 20000):
        theirs = torch.rand(n, dtype=torch.float64, generator=reference) < p
        assert_same(generator.bernoulli(n, p), theirs, generator, reference)


@pytest.mark.skipif(uses_mkl(), reason="PyTorch takes these masks from MKL on this CPU")
@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS, "bool"])
def test_bernoulli_and_dropout(dtype):
    generator, reference = pair(15)
    theirs = torch.empty(5001, dtype=getattr(torch, dtype)).bernoulli_(0.3, generator=reference)
    assert_same(generator.bernoulli(5001, 0.3, dtype), theirs, generator, reference)
    torch.manual_seed(15)
    kept = torch.nn.functional.dropout(torch.ones(999), 0.4) != 0
    assert_same(MersenneTwister(15).bernoulli(999, 1 - 0.4), kept)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_bernoulli_from_tensor(dtype):
    generator, reference = pair(16)
    p = torch.rand(40, 50, generator=torch.Generator().manual_seed(1)).to(getattr(torch, dtype))
    theirs = torch.bernoulli(p, generator=reference)
    assert_same(generator.bernoulli_from(p.numpy()), theirs, generator, reference)
    theirs = torch.empty(40, 50, dtype=torch.bool).bernoulli_(p, generator=reference)
    assert_same(generator.bernoulli_from(p.numpy(), "bool"), theirs, generator, reference)


def test_bfloat16_dtype_of_ml_dtypes():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    generator, reference = pair(18)
    theirs = torch.rand(500, dtype=torch.bfloat16, generator=reference)
    ours = generator.uniform(500, ml_dtypes.bfloat16)
    assert ours.dtype == ml_dtypes.bfloat16
    assert_same(ours.view(np.uint16), theirs)
    p = torch.rand(300, generator=torch.Generator().manual_seed(1)).bfloat16()
    ours = generator.bernoulli_from(bits(p).view(ml_dtypes.bfloat16))
    assert_same(ours.view(np.uint16), torch.bernoulli(p, generator=reference))
    ours = generator.multinomial(bits(p).view(ml_dtypes.bfloat16), 20, True)
    assert_same(ours, torch.multinomial(p, 20, True, generator=reference), generator, reference)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    "name, parameters",
    [("exponential", (1.0,)), ("exponential", (0.3,)), ("cauchy", (0.0, 1.0)),
     ("cauchy", (2.0, 0.5)), ("log_normal", (1.0, 2.0)), ("log_normal", (0.0, 0.3))],
)  # fmt: skip
def test_transformed_uniforms(dtype, name, parameters):
    generator, reference = pair(19)
    for n in (0, 1, 3, 5000, 20000):
        theirs = torch.empty(n, dtype=getattr(torch, dtype))
        getattr(theirs, name + "_")(*parameters, generator=reference)
        ours = getattr(generator, name)(n, dtype, *parameters)
        if dtype == "bfloat16":
            ours = bfloat16_values(ours)
        theirs = theirs.double().numpy()
        ours = ours.astype(np.float64)
        bound = {"float64": 1e-12, "float32": 3e-7, "float16": 1e-3, "bfloat16": 8e-3}[dtype]
        same = np.isclose(ours, theirs, rtol=bound, atol=bound * 1e-3)
        assert same.all(), (ours[~same], theirs[~same])
        assert (
            generator.get_state()[:5016].tobytes() == reference.get_state()[:5016].numpy().tobytes()
        )


@pytest.mark.parametrize("dtype", [*INTEGERS[2:], *FLOATS])
@pytest.mark.parametrize("p", [0.05, 0.5, 0.9])
def test_geometric(dtype, p):
    generator, reference = pair(20)
    theirs = torch.empty(20000, dtype=getattr(torch, dtype)).geometric_(p, generator=reference)
    assert_same(generator.geometric(20000, p, dtype), theirs, generator, reference)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1,), (7,), (1000,), (5, 30)])
@pytest.mark.parametrize("replacement", [False, True])
def test_multinomial(dtype, shape, replacement):
    generator, reference = pair(21)
    p = torch.rand(shape, generator=torch.Generator().manual_seed(2)).to(getattr(torch, dtype))
    for num_samples in (1, 4, 25):
        if num_samples > shape[-1] and not replacement:
            continue
        theirs = torch.multinomial(p, num_samples, replacement, generator=reference)
        ours = generator.multinomial(p.numpy(), num_samples, replacement)
        assert_same(ours, theirs, generator, reference)


def test_multinomial_never_takes_weight_zero():
    generator, reference = pair(22)
    p = torch.tensor([0.0, 3.0, 0.0, 1.0, 0.0, 2.0])
    for num_samples, replacement in ((3, False), (1, False), (5000, True)):
        ours = generator.multinomial(p.numpy(), num_samples, replacement)
        assert_same(ours, torch.multinomial(p, num_samples, replacement, generator=reference))
        assert set(ours.tolist()) <= {1, 3, 5}


def test_states_go_both_ways():
    generator, reference = pair(23)
    torch.randn(7, generator=reference), torch.rand(1000, generator=reference)
    generator.set_state(reference.get_state().numpy())
    assert_same_state(generator, reference)
    assert_same(generator.uniform(9), torch.rand(9, generator=reference))
    assert_near(generator.normal(1), torch.randn(1, generator=reference), "float32")  # the spare
    generator.normal(5), generator.randperm(800)
    reference.set_state(torch.from_numpy(generator.get_state()))
    assert_same_state(generator, reference)
    assert_same(
        generator.random_(9), torch.empty(9, dtype=torch.int64).random_(generator=reference)
    )


REFUSED = [
    ("uniform", (3, "float32", 2, 1), lambda: torch.empty(3).uniform_(2, 1)),
    ("uniform", (3, "float32", -3e38, 3e38), lambda: torch.empty(3).uniform_(-3e38, 3e38)),
    ("uniform", (3, "float16", 0, 1e6), lambda: torch.empty(3).half().uniform_(0, 1e6)),
    ("uniform", (3, "int64"), lambda: torch.empty(3).long().uniform_()),
    ("normal", (3, "float32", 0, -1), lambda: torch.empty(3).normal_(0, -1)),
    ("normal", (3, "int64"), lambda: torch.empty(3).long().normal_()),
    ("exponential", (3, "float32", 0), lambda: torch.empty(3).exponential_(0)),
    ("exponential", (3, "int64"), lambda: torch.empty(3).long().exponential_()),
    ("geometric", (3, 0), lambda: torch.empty(3).geometric_(0)),
    ("geometric", (3, 1), lambda: torch.empty(3).geometric_(1)),
    ("geometric", (3, 0.5, "bool"), lambda: torch.empty(3, dtype=torch.bool).geometric_(0.5)),
    ("cauchy", (3, "float32", 0, 0), lambda: torch.empty(3).cauchy_(0, 0)),
    ("cauchy", (3, "int64"), lambda: torch.empty(3).long().cauchy_()),
    ("log_normal", (3, "float32", 0, 0), lambda: torch.empty(3).log_normal_(0, 0)),
    ("log_normal", (3, "int64"), lambda: torch.empty(3).long().log_normal_()),
    ("bernoulli", (3, 1.5), lambda: torch.empty(3).bernoulli_(1.5)),
    ("bernoulli", (3, 0.5, "complex64"), lambda: torch.empty(3).cfloat().bernoulli_(0.5)),
    ("bernoulli_from", (np.array([1.5]),), lambda: torch.bernoulli(torch.tensor([1.5]))),
    ("bernoulli_from", (np.array([1]),), lambda: torch.bernoulli(torch.tensor([1]))),
    ("randint", (3, 5, 5), lambda: torch.randint(5, 5, (3,))),
    ("randint", (3, 0, 300, "uint8"), lambda: torch.randint(0, 300, (3,), dtype=torch.uint8)),
    ("randint", (3, 0, 70000, "float16"), lambda: torch.randint(0, 70000, (3,), dtype=torch.half)),
    ("randint", (3, 0, 3, "complex64"), lambda: torch.randint(0, 3, (3,), dtype=torch.cfloat)),
    ("random_", (3, "uint16"), lambda: torch.empty(3, dtype=torch.uint16).random_()),
    ("randperm", (-1,), lambda: torch.randperm(-1)),
    ("randperm", (300, "uint8"), lambda: torch.randperm(300, dtype=torch.uint8)),
    ("randperm", (3000, "float16"), lambda: torch.randperm(3000, dtype=torch.half)),
    ("randperm", (3, "bool"), lambda: torch.randperm(3, dtype=torch.bool)),
    ("multinomial", (np.ones(3), 4), lambda: torch.multinomial(torch.ones(3), 4)),
    ("multinomial", (np.ones(3), 0), lambda: torch.multinomial(torch.ones(3), 0)),
    ("multinomial", (-np.ones(3), 1), lambda: torch.multinomial(-torch.ones(3), 1)),
    ("multinomial", (-np.ones(3), 2, True), lambda: torch.multinomial(-torch.ones(3), 2, True)),
    ("multinomial", (np.zeros(3), 2, True), lambda: torch.multinomial(torch.zeros(3), 2, True)),
    ("multinomial", (np.zeros(3), 2), lambda: torch.multinomial(torch.zeros(3), 2)),
    ("multinomial", (np.ones(3, int), 2), lambda: torch.multinomial(torch.ones(3).long(), 2)),
    ("multinomial", (np.ones((2, 2, 2)), 2), lambda: torch.multinomial(torch.ones(2, 2, 2), 2)),
    ("manual_seed", (2**64,), lambda: torch.manual_seed(2**64)),
    (
        "set_state",
        (np.zeros(5056, np.uint8),),
        lambda: torch.set_rng_state(torch.zeros(5056).byte()),
    ),
    ("set_state", (np.zeros(56, np.uint8),), lambda: torch.set_rng_state(torch.zeros(56).byte())),
    ("set_state", (np.zeros(5056, np.float32),), lambda: torch.set_rng_state(torch.zeros(5056))),
]


@pytest.mark.parametrize("name, arguments, theirs", REFUSED)
def test_errors_are_of_the_same_class(name, arguments, theirs):
    with pytest.raises(Exception) as expected:
        theirs()
    generator = MersenneTwister(0)
    before = generator.get_state()
    with pytest.raises(expected.type) as caught:
        getattr(generator, name)(*arguments)
    assert caught.type is expected.type
    np.testing.assert_array_equal(generator.get_state(), before)


def test_permutations_without_the_loop():
    choices = np.random.default_rng(0)
    for n in (2, 3, 17, 399, 400, 5000):
        forward = np.arange(n - 1) + choices.integers(0, np.arange(n, 1, -1))
        values = list(range(n))
        for i, j in enumerate(forward.tolist()):
            values[i], values[j] = values[j], values[i]
        np.testing.assert_array_equal(permute(forward), values)
        backward = choices.integers(0, np.arange(1, n + 1))
        values = list(range(n))
        for i, j in enumerate(backward.tolist()):
            values[i], values[j] = values[j], values[i]
        np.testing.assert_array_equal(inside_out(backward), values)


@pytest.mark.parametrize("enabled", [True, False])
def test_a_forked_generator_leaves_the_state_alone(enabled):
    def drawn(library):
        library.manual_seed(3)
        with library.random.fork_rng(devices=[], enabled=enabled):
            first = library.rand(2)
        return first.tolist(), library.rand(2).tolist()

    assert drawn(jittensor) == drawn(torch)
