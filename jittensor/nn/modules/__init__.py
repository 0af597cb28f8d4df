"""In: nothing. Out: the modules of `torch.nn`, one file for each family of layers."""

from . import (
    activation,
    adaptive,
    attention,
    bags,
    batchnorm,
    channelshuffle,
    conv,
    distance,
    fold,
    instancenorm,
    lazy,
    linear_cross_entropy_options,
    linear_loss,
    margin_loss,
    padding,
    pixelshuffle,
    pooling,
    rnn,
    transformer,
    upsampling,
    utils,
    vision,
)
from .activation import (
    CELU,
    ELU,
    GELU,
    GLU,
    SELU,
    Hardshrink,
    Hardsigmoid,
    Hardswish,
    Hardtanh,
    LeakyReLU,
    LogSigmoid,
    LogSoftmax,
    Mish,
    PReLU,
    ReLU,
    ReLU6,
    RReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softmax2d,
    Softmin,
    Softplus,
    Softshrink,
    Softsign,
    Tanh,
    Tanhshrink,
    Threshold,
)
from .adaptive import *  # noqa: F403
from .attention import *  # noqa: F403
from .bags import *  # noqa: F403
from .batchnorm import *  # noqa: F403
from .container import Container, ModuleDict, ModuleList, ParameterDict, ParameterList, Sequential
from .conv import *  # noqa: F403
from .dropout import (
    AlphaDropout,
    Dropout,
    Dropout1d,
    Dropout2d,
    Dropout3d,
    FeatureAlphaDropout,
)
from .flatten import Flatten, Unflatten
from .lazy import *  # noqa: F403
from .linear import Bilinear, Identity, Linear
from .linear_cross_entropy_options import *  # noqa: F403
from .linear_loss import *  # noqa: F403
from .loss import (
    BCELoss,
    BCEWithLogitsLoss,
    CosineEmbeddingLoss,
    CrossEntropyLoss,
    GaussianNLLLoss,
    HingeEmbeddingLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    MarginRankingLoss,
    MSELoss,
    NLLLoss,
    NLLLoss2d,
    PoissonNLLLoss,
    SmoothL1Loss,
    SoftMarginLoss,
)
from .margin_loss import *  # noqa: F403
from .module import Module
from .normalization import CrossMapLRN2d, LayerNorm, RMSNorm
from .padding import *  # noqa: F403
from .pooling import *  # noqa: F403
from .rnn import *  # noqa: F403
from .sparse import Embedding
from .transformer import *  # noqa: F403
from .vision import *  # noqa: F403

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "SELU",
    "AlphaDropout",
    "BCELoss",
    "BCEWithLogitsLoss",
    "Bilinear",
    "Container",
    "CosineEmbeddingLoss",
    "CrossEntropyLoss",
    "CrossMapLRN2d",
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "Embedding",
    "FeatureAlphaDropout",
    "Flatten",
    "GaussianNLLLoss",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "HingeEmbeddingLoss",
    "HuberLoss",
    "Identity",
    "KLDivLoss",
    "L1Loss",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSigmoid",
    "LogSoftmax",
    "MSELoss",
    "MarginRankingLoss",
    "Mish",
    "Module",
    "ModuleDict",
    "ModuleList",
    "NLLLoss",
    "NLLLoss2d",
    "PReLU",
    "ParameterDict",
    "ParameterList",
    "PoissonNLLLoss",
    "RMSNorm",
    "RReLU",
    "ReLU",
    "ReLU6",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SmoothL1Loss",
    "SoftMarginLoss",
    "Softmax",
    "Softmax2d",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
    "Threshold",
    "Unflatten",
]
activation.MultiheadAttention = attention.MultiheadAttention     # where PyTorch has it
for _family in (adaptive, attention, bags, batchnorm, conv, lazy,
                linear_cross_entropy_options, linear_loss, margin_loss, padding, pooling, rnn,
                transformer, vision):
    __all__ += _family.__all__
