"""Answers about devices and backends beside those of PyTorch's CPU build."""

import importlib

import pytest

import jittensor

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.skipif(torch.cuda.is_available() or torch.backends.mps.is_built()
                                or torch.version.cuda is not None,
                                reason="PyTorch is not a CPU build")


def answer(module, text):
    """The value of an expression over `torch`, or the class and text of what it raises."""
    try:
        return "value", eval(text, {"torch": module})
    except Exception as error:
        return "error", type(error).__name__, str(error)


SAME = """
torch.cuda.is_available()
torch.cuda.device_count()
torch.cuda.is_initialized()
torch.cuda.is_bf16_supported()
torch.cuda.is_bf16_supported(including_emulation=False)
torch.cuda.is_tf32_supported()
torch.cuda.get_arch_list()
torch.cuda.get_gencode_flags()
torch.cuda.current_device()
torch.cuda.get_device_name()
torch.cuda.get_device_name(0)
torch.cuda.get_device_capability()
torch.cuda.get_device_properties(0)
torch.device(0)
torch.ones(1).cuda()
torch.ones(1).cuda(1)
torch.ones(1).to(1)
torch.cuda.get_device_properties('cpu')
torch.cuda.can_device_access_peer(0, 1)
torch.cuda.synchronize()
torch.cuda.init()
torch.cuda.set_device(-1)
torch.cuda.set_device('cpu')
torch.cuda.set_device(torch.device('cpu'))
torch.cuda.device('cpu')
torch.cuda.device(0).__enter__()
torch.cuda.device('cuda:1').__enter__()
torch.cuda.device(-1).__enter__()
torch.cuda.device_of(torch.ones(1)).__enter__()
torch.cuda.manual_seed(0)
torch.cuda.manual_seed_all(0)
torch.cuda.seed()
torch.cuda.seed_all()
torch.cuda.initial_seed()
torch.cuda.get_rng_state()
torch.cuda.get_rng_state_all()
torch.cuda.set_rng_state_all([])
torch.cuda.empty_cache()
torch.cuda.ipc_collect()
torch.cuda.memory_allocated()
torch.cuda.max_memory_allocated()
torch.cuda.memory_reserved()
torch.cuda.max_memory_reserved()
torch.cuda.memory_stats()
torch.cuda.mem_get_info()
torch.cuda.set_per_process_memory_fraction(0.5)
torch.cuda.current_stream()
torch.cuda.default_stream()
torch.cuda.set_stream(None)
torch.cuda.Stream()
torch.cuda.Event(enable_timing=True)
torch.cuda.CUDAGraph()
torch.cuda.has_half
torch.cuda.has_magma
torch.cuda.default_generators
torch.cuda.OutOfMemoryError is torch.OutOfMemoryError
issubclass(torch.cuda.OutOfMemoryError, RuntimeError)
torch.ones(2).cuda()
torch.ones(2).to('cuda')
torch.ones(2, device='cuda:1')
torch.ones(2).is_cuda
torch.ones(2).get_device()
torch.backends.mps.is_available()
torch.backends.mps.is_built()
torch.backends.mps.is_macos13_or_newer()
torch.backends.mps.is_macos_or_newer(14, 0)
torch.backends.cudnn.enabled
torch.backends.cudnn.benchmark
torch.backends.cudnn.deterministic
torch.backends.cudnn.allow_tf32
torch.backends.cudnn.benchmark_limit
torch.backends.cudnn.fp32_precision
torch.backends.cudnn.is_available()
torch.backends.cudnn.version()
torch.backends.cudnn.is_acceptable(torch.ones(1))
torch.backends.cudnn.set_flags()
torch.backends.cuda.is_built()
torch.backends.cuda.is_flash_attention_available()
torch.backends.cuda.matmul.allow_tf32
torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction
torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction
torch.backends.cuda.matmul.allow_fp16_accumulation
torch.backends.cuda.matmul.fp32_precision
torch.backends.cuda.matmul.unknown
torch.backends.cuda.flash_sdp_enabled()
torch.backends.cuda.mem_efficient_sdp_enabled()
torch.backends.cuda.math_sdp_enabled()
torch.backends.cuda.cudnn_sdp_enabled()
torch.backends.mkldnn.enabled
torch.backends.mkldnn.deterministic
torch.backends.mkldnn.allow_tf32
torch.backends.mkldnn.set_flags()
setattr(torch.backends.cudnn, 'enabled', 3)
setattr(torch.backends.cudnn, 'benchmark', 'yes')
setattr(torch.backends.cuda.matmul, 'unknown', True)
setattr(torch.backends.cuda.matmul, 'allow_tf32', 3)
""".strip().splitlines()


@pytest.mark.parametrize("text", SAME)
def test_same_answer(text):
    mine, theirs = answer(jittensor, text), answer(torch, text)
    if theirs[0] == "error":
        assert mine[:2] == theirs[:2]
        if text.startswith("setattr") and "allow_tf32" in text:
            return                       # PyTorch's text names its internal function
    assert mine == theirs


@pytest.mark.parametrize("text", ["torch.cuda.set_device(0)", "torch.cuda.set_device('cuda:0')",
                                  "torch.cuda.reset_peak_memory_stats()"])
def test_same_exception_class(text):
    assert answer(jittensor, text)[:2] == answer(torch, text)[:2] == ("error", "AttributeError")


@pytest.mark.parametrize("name", ["cuda", "backends", "backends.cudnn", "backends.cuda",
                                  "backends.mps", "backends.mkldnn", "backends.mkl",
                                  "backends.openmp"])
def test_submodules_can_be_imported(name):
    module = importlib.import_module("jittensor." + name)
    found = jittensor
    for part in name.split("."):
        found = getattr(found, part)
    assert found is module


@pytest.mark.parametrize("module", [jittensor, torch], ids=["jittensor", "torch"])
def test_switches_keep_their_values(module):
    cudnn, matmul = module.backends.cudnn, module.backends.cuda.matmul
    with cudnn.flags(enabled=False, benchmark=True):
        assert (cudnn.enabled, cudnn.benchmark, cudnn.deterministic) == (False, True, False)
    assert (cudnn.enabled, cudnn.benchmark) == (True, False)
    try:
        cudnn.benchmark = cudnn.deterministic = True
        assert cudnn.set_flags(_benchmark=False)[:4] == (True, True, None, True)
        assert cudnn.benchmark is False and cudnn.deterministic is True
        matmul.allow_fp16_accumulation = True
        assert matmul.allow_fp16_accumulation is True
    finally:
        cudnn.benchmark = cudnn.deterministic = matmul.allow_fp16_accumulation = False


@pytest.mark.parametrize("module", [jittensor, torch], ids=["jittensor", "torch"])
def test_attention_switches(module):
    cuda = module.backends.cuda
    with pytest.warns(FutureWarning), cuda.sdp_kernel(enable_flash=False, enable_cudnn=False):
        assert not cuda.flash_sdp_enabled() and not cuda.cudnn_sdp_enabled()
        assert cuda.math_sdp_enabled() and cuda.mem_efficient_sdp_enabled()
    assert cuda.flash_sdp_enabled() and cuda.cudnn_sdp_enabled()
    cuda.enable_math_sdp(False)
    assert not cuda.math_sdp_enabled()
    cuda.enable_math_sdp(True)


@pytest.mark.parametrize("module", [jittensor, torch], ids=["jittensor", "torch"])
def test_contexts_of_no_device(module):
    with module.cuda.stream(None), module.cuda.device(-1), module.cuda.device_of(module.ones(1)):
        assert (module.ones(2) + 1).tolist() == [2.0, 2.0]
