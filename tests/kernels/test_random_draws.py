"""Draws beside numbers recorded from PyTorch 2.13, and what any generator must satisfy."""

import pickle
import threading
import zlib

import numpy as np
import pytest

from jittensor.kernels.random_draws import (
    STATE_DTYPE,
    MersenneTwister,
    bfloat16_bits,
    bfloat16_values,
)


@pytest.fixture
def generator():
    return MersenneTwister(42)


def checksum(array):
    return zlib.crc32(array.tobytes())


def test_uniform_is_pytorch_s(generator):
    assert generator.uniform(4).tolist() == [
        0.8822692632675171, 0.9150039553642273, 0.38286375999450684, 0.9593056440353394,
    ]  # fmt: skip
    assert generator.manual_seed(42).uniform(3, "float64").tolist() == [
        0.05815448596142969, 0.06291016742457756, 0.12358607277440903,
    ]  # fmt: skip
    half = generator.manual_seed(42).uniform(3, "float16")
    assert half.dtype == np.float16 and half.tolist() == [0.88232421875, 0.9150390625, 0.3828125]
    brain = generator.manual_seed(42).uniform(3, "bfloat16")
    assert bfloat16_values(brain).tolist() == [0.8828125, 0.9140625, 0.3828125]
    assert generator.manual_seed(42).uniform(3, "float32", -0.1, 0.1).tolist() == [
        0.07645385712385178, 0.0830007940530777, -0.023427248001098633,
    ]  # fmt: skip


def test_normal_is_pytorch_s(generator):
    serial = [0.33669036626815796, 0.12880940735340118, 0.23446236550807953]
    np.testing.assert_allclose(generator.normal(3), serial, rtol=1e-6)
    blocks = [
        1.9269152879714966, 1.4872840642929077, 0.9007171988487244, -2.1055209636688232,
        -0.7581311464309692, 1.078317642211914, 0.8008005619049072, 1.680620551109314,
        0.3558599054813385, -0.6866229772567749, -0.4933563470840454, 0.2414877861738205,
        -0.2316243201494217, 0.041759490966796875, -0.2515752911567688, 0.859858512878418,
        -0.3097267746925354, -0.3957104980945587, 0.8034093379974365, -0.6215953826904297,
    ]  # fmt: skip
    np.testing.assert_allclose(generator.manual_seed(42).normal(20), blocks, rtol=2e-6)


def test_integers_are_pytorch_s(generator):
    assert generator.randint(8, 0, 100).tolist() == [42, 67, 76, 14, 26, 35, 20, 24]
    wide = generator.randint(3, -5, 2**40).tolist()
    assert wide == [439988413510, 902359435404, 319795166448]
    generator.manual_seed(42)
    assert generator.randperm(10).tolist() == [2, 6, 1, 8, 4, 5, 0, 9, 3, 7]
    assert generator.randperm(60000)[:5].tolist() == [57113, 42545, 43328, 59684, 30462]
    assert generator.randperm(60000)[-3:].tolist() == [25868, 30401, 864]
    generator.manual_seed(1)
    assert checksum(generator.randperm(200_000)) == 492284577
    assert checksum(generator.uniform(50_001)) == 3908473493
    generator.manual_seed(42)
    assert generator.random_(2).tolist() == [6909045637428952499, 8314211556539077902]
    assert generator.random_(3, "uint8").tolist() == [106, 71, 188]
    assert generator.random_(2, "float32").tolist() == [13314940.0, 15783487.0]


def test_choices_are_pytorch_s(generator):
    assert generator.bernoulli(12, 0.3, "int64").tolist() == [1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 0]
    mask = generator.bernoulli_from(np.full((2, 4), 0.3, np.float32))
    assert mask.dtype == np.float32 and mask.tolist() == [[1, 1, 0, 1], [0, 1, 0, 1]]
    weights = np.array([0.1, 0.2, 0.3, 0.4], dtype=np.float32)
    generator.manual_seed(42)
    assert generator.multinomial(weights, 3).tolist() == [3, 1, 2]
    assert generator.multinomial(weights, 6, True).tolist() == [2, 2, 3, 3, 0, 1]
    assert generator.multinomial(weights, 1, True).tolist() == [0]


def test_other_distributions_are_pytorch_s(generator):
    exponential = [0.029957007616758347, 0.03248806297779083, 0.06595838814973831]
    np.testing.assert_allclose(generator.exponential(3, rate=2.0), exponential, rtol=1e-6)
    assert generator.geometric(3, 0.2, "int64").tolist() == [14, 3, 4]
    cauchy = [7.063858985900879, 4.392808437347412]
    np.testing.assert_allclose(generator.cauchy(2), cauchy, rtol=1e-6)
    log_normal = [6.843603610992432, 4.639941215515137]
    np.testing.assert_allclose(generator.log_normal(2), log_normal, rtol=1e-6)


def test_states_are_pytorch_s(generator):
    assert STATE_DTYPE.itemsize == 5056
    assert checksum(MersenneTwister(0).get_state()) == 1831558866
    generator.uniform(1000), generator.randint(5, 0, 9)
    assert checksum(generator.get_state()) == 554778423


@pytest.mark.parametrize("draws", [0, 1, 623, 624, 625, 2000])
def test_state_resumes_anywhere(draws):
    first = MersenneTwister(5)
    first.uniform(draws), first.normal(3)
    second = MersenneTwister(0).set_state(first.get_state())
    third, fourth = first.clone(), pickle.loads(pickle.dumps(first))
    expected = [first.normal(2), first.uniform(700), first.random64(3)]
    for other in (second, third, fourth):
        for want, got in zip(expected, (other.normal(2), other.uniform(700), other.random64(3))):
            np.testing.assert_array_equal(want, got)
        np.testing.assert_array_equal(first.get_state(), other.get_state())


def test_words():
    first, second = MersenneTwister(7), MersenneTwister(7)
    words = first.random32(10)
    assert words.dtype == np.uint32
    joined = second.random64(5)
    np.testing.assert_array_equal(joined >> np.uint64(32), words[0::2])
    np.testing.assert_array_equal(joined & np.uint64(0xFFFFFFFF), words[1::2])


def test_draws_in_parts_are_the_draw_in_one():
    whole, parts = MersenneTwister(8), MersenneTwister(8)
    expected = whole.uniform(50_000, "float64")
    sizes = (1, 0, 999, 16384, 32616)
    got = np.concatenate([parts.uniform(n, "float64") for n in sizes])
    np.testing.assert_array_equal(expected, got)
    np.testing.assert_array_equal(whole.get_state(), parts.get_state())


def test_seed_comes_from_the_system():
    generator = MersenneTwister(0)
    first, second = generator.seed(), generator.seed()
    assert first != second and 0 <= first < 2**53
    assert generator.initial_seed() == second
    np.testing.assert_array_equal(generator.uniform(5), MersenneTwister(second).uniform(5))


def test_bfloat16_rounds_to_even():
    values = np.array([1.0, 1.00390625, 1.01171875, -2.5, 3.4e38, np.inf, np.nan], np.float32)
    bits = [0x3F80, 0x3F80, 0x3F82, 0xC020, 0x7F80, 0x7F80, 0x7FC0]
    assert bfloat16_bits(values).tolist() == bits
    back = np.random.default_rng(0).integers(0, 0x7F80, 1000).astype(np.uint16)
    np.testing.assert_array_equal(bfloat16_bits(bfloat16_values(back)), back)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_uniform_keeps_its_bounds(generator, dtype):
    draws = generator.uniform(100_000, dtype, -1.0, 0.5)
    values = bfloat16_values(draws) if dtype == "bfloat16" else draws.astype(np.float64)
    assert values.min() >= -1 and values.max() < 0.5
    assert abs(values.mean() + 0.25) < 0.006 and abs(values.std() - 1.5 / 12**0.5) < 0.006


def test_moments(generator):
    n = 400_000
    for draws, mean, std in (
        (generator.normal(n, mean=3.0, std=2.0), 3.0, 2.0),
        (generator.normal(n, contiguous=False), 0.0, 1.0),
        (generator.normal(n, "float64"), 0.0, 1.0),
        (generator.exponential(n, rate=0.5), 2.0, 2.0),
        (generator.geometric(n, 0.25), 4.0, 12**0.5),
        (generator.bernoulli(n, 0.3, "float32"), 0.3, 0.21**0.5),
        (generator.randint(n, -10, 11), 0.0, (440 / 12) ** 0.5),
        (np.log(generator.log_normal(n, mean=1.0, std=0.5)), 1.0, 0.5),
    ):
        assert abs(draws.mean(dtype=np.float64) - mean) < 5 * std / n**0.5
        assert abs(draws.std(dtype=np.float64) - std) < 0.01 * std
    assert abs(np.median(generator.cauchy(n, median=2.0))) - 2.0 < 0.02
    normal = np.sort(generator.normal(n))
    quantiles = normal[[int(0.0228 * n), int(0.1587 * n), int(0.8413 * n), int(0.9772 * n)]]
    np.testing.assert_allclose(quantiles, [-2, -1, 1, 2], atol=0.02)


def test_permutations_are_permutations(generator):
    for n in (0, 1, 2, 399, 400, 5000):
        np.testing.assert_array_equal(np.sort(generator.randperm(n)), np.arange(n))
    first = [generator.randperm(4)[0] for _ in range(4000)]
    assert np.bincount(first).min() > 900
    fixed = [np.sum(generator.randperm(1000) == np.arange(1000)) for _ in range(500)]
    assert 0.8 < np.mean(fixed) < 1.2  # a random permutation keeps one place on average


def test_multinomial_frequencies(generator):
    weights = np.array([1.0, 0.0, 3.0, 6.0])
    for draws in (
        generator.multinomial(weights, 50_000, replacement=True),
        generator.multinomial(np.tile(weights, (50_000, 1)), 1)[:, 0],
    ):
        np.testing.assert_allclose(np.bincount(draws) / 50_000, weights / 10, atol=0.01)
    rows = generator.multinomial(np.ones((300, 5)), 5)
    np.testing.assert_array_equal(np.sort(rows, axis=1), np.tile(np.arange(5), (300, 1)))


def test_threads_share_one_stream():
    shared, found = MersenneTwister(3), []

    def draw():
        for _ in range(50):
            found.append(shared.uniform(20_000))  # two blocks: another thread could come between

    threads = [threading.Thread(target=draw) for _ in range(4)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    expected = MersenneTwister(3).uniform(200 * 20_000).reshape(200, 20_000)
    order = {row[:2].tobytes(): i for i, row in enumerate(expected)}
    for got in found:
        np.testing.assert_array_equal(got, expected[order[got[:2].tobytes()]])


def test_refusals_name_the_argument(generator):
    for call, error, words in (
        (lambda: generator.uniform(3, "float32", 2, 1), RuntimeError, "from=2"),
        (lambda: generator.normal(3, std=-1.0), RuntimeError, "std -1"),
        (lambda: generator.randint(3, 5, 5), RuntimeError, "from=5 >= to=5"),
        (lambda: generator.randint(3, 0, 257, "uint8"), RuntimeError, "to - 1 .* uint8: 256"),
        (lambda: generator.bernoulli(3, 1.5), RuntimeError, "p=1.5"),
        (lambda: generator.normal(3, "int64"), NotImplementedError, "normal_kernel_cpu"),
        (lambda: generator.multinomial(np.ones(3), 4), RuntimeError, "4 > 3"),
        (lambda: generator.set_state(np.zeros(7, np.uint8)), RuntimeError, "5056 .* 7"),
    ):
        with pytest.raises(error, match=words):
            call()
    with pytest.warns(UserWarning, match="2\\^11"):
        generator.randint(3, 0, 4000, "float16")
