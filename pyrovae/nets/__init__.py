"""Networks: plain ``torch.nn.Module`` from a tensor to a tensor, with any leading dimensions."""

from pyrovae.nets.conv import ConvDecoder, ConvEncoder
from pyrovae.nets.mlp import MLP

__all__ = ["MLP", "ConvDecoder", "ConvEncoder"]
