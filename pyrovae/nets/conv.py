"""Convolutional encoders and decoders, plain and residual, for images of any size and channel count."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from pyrovae.arguments import new_activation
from pyrovae.errors import explain

Activation = Callable[[], nn.Module]


class ConvEncoder(nn.Module):
    """A convolutional encoder: each stage halves the image, a linear layer ends it.

    Arguments:
        shape: ``(C, H, W)`` of an image, any sizes, odd ones too.
        out_features: the size of the output vector.
        channels: the channels after each halving.
        residual: the number of residual blocks after each halving (0: plain).
        activation: what makes the activation.

    Shapes: ``(..., C, H, W)`` to ``(..., out_features)``.

    References:
        He, Zhang, Ren and Sun, 2016, Identity Mappings in Deep Residual Networks, https://arxiv.org/abs/1603.05027

    Example:
        >>> import torch
        >>> from pyrovae import nets
        >>> nets.ConvEncoder((1, 28, 20), 2 * 8)(torch.zeros(5, 1, 28, 20)).shape
        torch.Size([5, 16])
    """

    def __init__(
        self,
        shape: Sequence[int],
        out_features: int,
        *,
        channels: Sequence[int] = (32, 64),
        residual: int = 0,
        activation: Activation = nn.ReLU,
    ) -> None:
        super().__init__()
        self.shape, self.out_features, self.channels = _image(shape), out_features, _stages(channels)
        self.residual, self.activation = residual, activation
        sizes = _halvings(self.shape[1:], len(self.channels))
        layers: list[nn.Module] = []
        incoming = self.shape[0]
        for width in self.channels:
            layers += [nn.Conv2d(incoming, width, 3, stride=2, padding=1)]
            layers += [_ResidualBlock(width, activation) for _ in range(residual)]
            layers += [new_activation("ConvEncoder", activation)]
            incoming = width
        height, width = sizes[-1]
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(incoming * height * width, out_features))

    def forward(self, x: Tensor) -> Tensor:
        if tuple(x.shape[-3:]) != self.shape:
            raise ValueError(
                explain(
                    "ConvEncoder",
                    expected=f"images of shape (..., {', '.join(map(str, self.shape))})",
                    got=str(tuple(x.shape)),
                    remedy="Reshape the data, or build the encoder for their shape.",
                )
            )
        leading = x.shape[:-3]
        output: Tensor = self.layers(x.reshape(-1, *self.shape))
        return output.reshape(*leading, self.out_features)


class ConvDecoder(nn.Module):
    """A convolutional decoder, the mirror of :class:`ConvEncoder`: a linear layer, then doublings.

    Arguments:
        in_features: the size of the input vector, the latent's as a rule.
        shape: ``(C, H, W)`` of the output: ``C`` is what the head wants, twice the image's channels
            for :class:`pyrovae.heads.Normal`.
        channels: the channels from the smallest image to the largest.
        residual: the number of residual blocks before each doubling (0: plain).
        activation: what makes the activation.

    Shapes: ``(..., in_features)`` to ``(..., C, H, W)``.

    Example:
        >>> import torch
        >>> from pyrovae import nets
        >>> nets.ConvDecoder(8, (1, 28, 20))(torch.zeros(5, 8)).shape
        torch.Size([5, 1, 28, 20])
    """

    def __init__(
        self,
        in_features: int,
        shape: Sequence[int],
        *,
        channels: Sequence[int] = (64, 32),
        residual: int = 0,
        activation: Activation = nn.ReLU,
    ) -> None:
        super().__init__()
        self.in_features, self.shape, self.channels = in_features, _image(shape), _stages(channels)
        self.residual, self.activation = residual, activation
        sizes = _halvings(self.shape[1:], len(self.channels))[::-1]
        outgoing = [*self.channels[1:], self.shape[0]]
        layers: list[nn.Module] = [
            nn.Linear(in_features, self.channels[0] * sizes[0][0] * sizes[0][1]),
            nn.Unflatten(1, (self.channels[0], *sizes[0])),
        ]
        for i, (width, wider) in enumerate(zip(self.channels, outgoing, strict=True)):
            layers += [_ResidualBlock(width, activation) for _ in range(residual)]
            layers += [new_activation("ConvDecoder", activation)]
            # A kernel of 4 with stride 2 covers every output pixel equally often: no checkerboard.
            odd = tuple(target - 2 * size for size, target in zip(sizes[i], sizes[i + 1], strict=True))
            layers += [_Doubling(width, wider, odd)]
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        if z.ndim == 0 or z.shape[-1] != self.in_features:
            raise ValueError(
                explain(
                    "ConvDecoder",
                    expected=f"an input of shape (..., {self.in_features})",
                    got=str(tuple(z.shape)),
                    remedy="in_features must be the size of the latent.",
                )
            )
        leading = z.shape[:-1]
        output: Tensor = self.layers(z.reshape(-1, self.in_features))
        return output.reshape(*leading, *self.shape)


class _ResidualBlock(nn.Module):
    """A pre-activation residual block, ``x + conv(a(conv(a(x))))``, that keeps the shape ``(n, C, H, W)``."""

    def __init__(self, channels: int, activation: Activation = nn.ReLU) -> None:
        super().__init__()
        self.body = nn.Sequential(
            new_activation("residual block", activation),
            nn.Conv2d(channels, channels, 3, padding=1),
            new_activation("residual block", activation),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = x + self.body(x)
        return output


class _Doubling(nn.Module):
    """A transposed convolution to twice the size, less the row or column that an odd target has not."""

    def __init__(self, channels: int, out_channels: int, odd: tuple[int, ...]) -> None:
        super().__init__()
        self.crop = tuple(odd)
        self.conv = nn.ConvTranspose2d(channels, out_channels, 4, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.conv(x)
        height, width = (size + less for size, less in zip(output.shape[-2:], self.crop, strict=True))
        return output[..., :height, :width]


def _image(shape: Sequence[int]) -> tuple[int, int, int]:
    if len(shape) != 3 or any(not isinstance(size, int) or size < 1 for size in shape):
        raise ValueError(
            explain(
                "shape",
                expected="an image shape (C, H, W) of positive integers",
                got=repr(tuple(shape)),
                remedy="Gray images have C = 1.",
            )
        )
    channels, height, width = shape
    return channels, height, width


def _stages(channels: Sequence[int]) -> tuple[int, ...]:
    if not channels or any(not isinstance(width, int) or width < 1 for width in channels):
        raise ValueError(
            explain(
                "channels",
                expected="one or more positive channel counts",
                got=repr(tuple(channels)),
                remedy="Try (32, 64).",
            )
        )
    return tuple(channels)


def _halvings(size: Sequence[int], times: int) -> list[tuple[int, int]]:
    """The image sizes after 0, 1, ..., ``times`` halvings, rounded up."""
    height, width = size
    sizes = [(height, width)]
    for _ in range(times):
        height, width = (height + 1) // 2, (width + 1) // 2
        sizes.append((height, width))
    return sizes
