"""The gated PixelCNN: an image's pixels in raster order, each given those before it and a map of features."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pyrovae.distributions.autoregressive import Autoregressive, Pick
from pyrovae.errors import explain
from pyrovae.heads._emission import drawing, elements, precise
from pyrovae.heads._gated import GatedLayer, GatedSteps
from pyrovae.heads._sizes import check_features, positive
from pyrovae.heads.bernoulli import Bernoulli
from pyrovae.types import Distribution, Head


class PixelCNN(nn.Module):
    r"""Images whose pixels depend on those above and to the left of them, as well as on the latent.

    .. math::
        \mathrm{head}(t) = \prod_{i=1}^{H} \prod_{j=1}^{W}
        \mathrm{emission}\big(x_{ij} \mid f_{ij}(x_{<ij}, t)\big)

    with :math:`x_{<ij}` the pixels before (i, j) in raster order. A vertical stack of convolutions sees the
    rows above, a horizontal one the row so far, and reads the vertical one at each layer: there is no blind
    spot. With L layers and kernel k a pixel sees ``L * (k // 2) + 1`` rows and columns back, and in the rows
    above ``L * (k // 2)`` columns to either side. Each layer has gated units,
    :math:`\tanh(a + V t) \odot \operatorname{sigmoid}(b + U t)`. Unlike in the paper the vertical stack has
    residual connections too, and all layers have the same kernel.

    The channels of a pixel are drawn together, by the emission: independent given the pixels before under a
    Bernoulli or a categorical, in order under a mixture of discretised logistics.

    Sampling keeps what each layer has found, so that a pixel costs one pixel of each layer: a whole image is
    H steps of the vertical stack and H W of the horizontal, as much arithmetic as one pass.

    Arguments:
        channels: C of an image.
        context: the channels of the features, k.
        emission: what makes a pixel's distribution: any head of ``event_dim=3`` that takes pixels one by one.
        width: the channels of the layers.
        layers: how many there are.
        kernel: of all layers, odd.

    Shapes: features ``(..., k, H, W)``, of any H and W, make an event ``(C, H, W)``.

    Raises:
        ValueError: for features that are no map of k channels, sizes that are not positive, an even kernel.
        TypeError: for an emission that is no head.

    References:
        van den Oord, Kalchbrenner, Vinyals, Espeholt, Graves and Kavukcuoglu, 2016, Conditional Image
        Generation with PixelCNN Decoders, https://arxiv.org/abs/1606.05328
        Gulrajani, Kumar, Ahmed, Taiga, Visin, Vazquez and Courville, 2017, PixelVAE: A Latent Variable Model
        for Natural Images, https://arxiv.org/abs/1611.05013

    Example:
        >>> import torch
        >>> from pyrovae import heads
        >>> _ = torch.manual_seed(0)
        >>> head = heads.PixelCNN(1, context=4, width=8, layers=2)
        >>> p = head(torch.zeros(5, 4, 6, 6))
        >>> p.sample().shape, p.log_prob(torch.ones(5, 1, 6, 6)).shape
        (torch.Size([5, 1, 6, 6]), torch.Size([5]))
    """

    event_dim = 3

    def __init__(
        self,
        channels: int,
        context: int,
        *,
        emission: Head = Bernoulli(event_dim=3),  # noqa: B008 (it has no state)
        width: int = 32,
        layers: int = 5,
        kernel: int = 5,
    ) -> None:
        super().__init__()
        positive("PixelCNN", channels=channels, context=context, width=width, layers=layers, kernel=kernel)
        if kernel % 2 == 0 or kernel == 1:
            raise ValueError(
                explain(
                    "PixelCNN, kernel",
                    expected="an odd size from 3 on",
                    got=str(kernel),
                    remedy="Try 3 or 5.",
                )
            )
        self.channels, self.context, self.emission = channels, context, emission
        self.width, self.layers, self.kernel = width, layers, kernel
        self._elements = elements("PixelCNN", emission, channels, event_dim=3)
        self.above, self.left = nn.Conv2d(channels, width, 1), nn.Conv2d(channels, width, 1)
        self.stack: Any = nn.ModuleList([GatedLayer(width, context, kernel) for _ in range(layers)])
        self.hidden, self.readout = nn.Conv2d(width, width, 1), nn.Conv2d(width, self._elements.outputs, 1)

    def features(self, d: int) -> int:
        """The channels of the features for images of d channels."""
        return check_features("PixelCNN", d, self.channels, self.context)

    def forward(self, t: Tensor) -> Distribution:
        if t.ndim < 3 or t.shape[-3] != self.context:
            raise ValueError(
                explain(
                    "PixelCNN",
                    expected=f"features of shape (..., {self.context}, H, W)",
                    got=str(tuple(t.shape)),
                    remedy=f"Take a decoder to images, as nets.ConvDecoder(dim, ({self.context}, H, W)).",
                )
            )
        return Autoregressive(self, t, (self.channels, *t.shape[-2:]), feature_dim=3)

    @property
    def support(self) -> Any:
        """The emission's, of a whole image."""
        weight = self.readout.weight
        return self.emission(weight.new_zeros(len(weight), 1, 1)).support

    def log_conditionals(self, x: Tensor, features: Tensor) -> Tensor:
        """The log probability of images ``(m, C, H, W)``, ``(m,)``, in one pass."""
        entering = self._elements.scaled(x)
        above = self.above(F.pad(entering, (0, 0, 1, 0))[:, :, :-1])
        left = self.left(F.pad(entering, (1, 0))[..., :-1])
        for layer in self.stack:
            above, left = layer(above, left, features)
        outputs = self.readout(self.hidden(left.relu()).relu())
        return self.emission(precise(outputs)).log_prob(x)

    def draw(self, features: Tensor, pick: Pick | None) -> Tensor:
        """Images ``(m, C, H, W)``, pixel by pixel."""
        count, _, rows, columns = features.shape
        stack = [GatedSteps(layer, features) for layer in self.stack]
        left_in, hidden, readout = (
            (conv.weight.flatten(1), conv.bias) for conv in (self.left, self.hidden, self.readout)
        )
        draw = drawing(self.emission, pick)
        drawn = []
        row = features.new_zeros(count, self.channels, 1, columns)
        for i in range(rows):
            above = self.above(row)
            for steps in stack:
                above = steps.next_row(above, i)
            pixels = [features.new_zeros(count, self.channels)]
            for j in range(columns):
                left = F.linear(pixels[-1], *left_in)
                for steps in stack:
                    left = steps.next_pixel(left, j)
                drawn.append(draw(F.linear(F.linear(left.relu(), *hidden).relu(), *readout)))
                pixels.append(self._elements.scaled(drawn[-1].to(features.dtype)))
            row = torch.stack(pixels[1:], -1).unsqueeze(2)
        return torch.stack(drawn, -1).unflatten(-1, (rows, columns))

    def extra_repr(self) -> str:
        return (
            f"channels={self.channels}, context={self.context}, emission={self.emission!r}, "
            f"width={self.width}, layers={self.layers}, kernel={self.kernel}"
        )
