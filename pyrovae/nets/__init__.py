"""Networks: plain ``torch.nn.Module`` from a tensor to a tensor, with any leading dimensions."""

from pyrovae.nets.conv import ConvDecoder, ConvEncoder
from pyrovae.nets.filled import Filled
from pyrovae.nets.gated import GatedTransition
from pyrovae.nets.joined import Joined
from pyrovae.nets.masked import MaskedMLP
from pyrovae.nets.mlp import MLP
from pyrovae.nets.recurrent import Recurrent

__all__ = [
    "MLP",
    "ConvDecoder",
    "ConvEncoder",
    "Filled",
    "GatedTransition",
    "Joined",
    "MaskedMLP",
    "Recurrent",
]
