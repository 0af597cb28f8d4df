"""In: a name of the package. Out: the module that defines it, imported on first use so that
`import jittensor` stays fast."""

from __future__ import annotations

SUBMODULES = set("""
    __config__ _dynamo accelerator amp cpu distributed distributions export func fx hub jit masked
    mps mtia multiprocessing nn onnx optim overrides profiler safetensors serialization signal
    storage testing utils version xpu
    """.split())

_BY_MODULE = {
    "amp.autocast_mode": """
        autocast clear_autocast_cache get_autocast_cpu_dtype get_autocast_dtype
        get_autocast_gpu_dtype is_autocast_cache_enabled is_autocast_cpu_enabled is_autocast_enabled
        set_autocast_cache_enabled set_autocast_dtype set_autocast_enabled
        """,
    "autograd.anomaly": """
        is_anomaly_check_nan_enabled is_anomaly_enabled set_anomaly_enabled""",
    "linalg.removed": "eig lstsq matrix_rank solve symeig",
    "serialization": "load save",
    "func.mapping": "vmap",
    "amp.grad_scaler": "GradScaler",
    "legacy": """
        BFloat16Tensor BoolTensor ByteTensor CharTensor DoubleTensor FloatTensor HalfTensor
        IntTensor LongTensor ShortTensor
        """,
    "switches": """
        are_deterministic_algorithms_enabled get_deterministic_debug_mode
        get_default_device get_float32_matmul_precision get_num_interop_threads set_default_device
        set_default_tensor_type
        is_deterministic_algorithms_warn_only_enabled is_warn_always_enabled
        set_deterministic_debug_mode set_float32_matmul_precision set_flush_denormal
        set_num_interop_threads set_warn_always use_deterministic_algorithms typename
        """,
}
NAMES = {name: module for module, names in _BY_MODULE.items() for name in names.split()}
