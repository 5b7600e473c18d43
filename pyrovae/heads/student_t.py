"""The Student-t head: residuals with heavy tails, so that outliers don't pull."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from pyrovae.arguments import is_positive, shown
from pyrovae.distributions import LogScaleStudentT
from pyrovae.errors import explain
from pyrovae.heads._outputs import check_event_dim, joined, parts
from pyrovae.types import Distribution


class StudentT(nn.Module):
    r"""Independent Student-t variables of which the network gives the loc and the log scale.

    .. math::
        \mathrm{head}(t) = \prod_i t_\nu\big(x_i \mid \mu_i, e^{s_i}\big), \qquad (\mu, s) = t

    with the degrees of freedom :math:`\nu` shared by all entries and data. The pull of a residual on its loc
    falls like 1 / residual beyond :math:`\sqrt \nu` scales. Large :math:`\nu` make it a normal,
    :math:`\nu = 1` a Cauchy distribution; the mean exists for :math:`\nu > 1` and the variance for
    :math:`\nu > 2`.

    Arguments:
        df: :math:`\nu`, or where it starts when it is learned.
        learn: whether :math:`\nu` is a parameter (learned on the log scale) or stays as it is.
        event_dim: how many rightmost dimensions make one datum: 1 for vectors, 3 for images.

    Shapes: features ``(..., 2 d)``, locs first, become an event of shape ``(d,)``, and with ``event_dim=3``
        channels ``(..., 2 C, H, W)`` become ``(C, H, W)``.

    Raises:
        ValueError: for degrees of freedom that are not positive and finite; when the split dimension is odd.

    References:
        Lange, Little and Taylor, 1989, Robust Statistical Modeling Using the t Distribution, JASA 84(408).
        Takahashi, Iwata, Yamanaka, Yamada and Yagi, 2018, Student-t Variational Autoencoder for Robust
        Density Estimation, IJCAI.

    Example:
        >>> import torch
        >>> from pyrovae import heads
        >>> head = heads.StudentT(df=3.0)
        >>> head
        StudentT(df=3, learn=False, event_dim=1)
        >>> round(head(torch.zeros(2)).log_prob(torch.tensor([10.0])).item(), 3)  # a normal says -50.919
        -8.073
    """

    log_df: Tensor

    def __init__(self, df: float = 4.0, *, learn: bool = False, event_dim: int = 1) -> None:
        super().__init__()
        if not is_positive(df):
            raise ValueError(
                explain(
                    "heads.StudentT, df",
                    expected="a positive number of degrees of freedom",
                    got=shown(df),
                    remedy="Try 4.0; for a normal it is heads.Normal.",
                )
            )
        self.df, self.learn = df, learn
        self.event_dim = check_event_dim("StudentT", event_dim)
        log_df = torch.tensor(math.log(df))
        if learn:
            self.log_df = nn.Parameter(log_df)
        else:
            self.register_buffer("log_df", log_df)

    def features(self, d: int) -> int:
        """How many network outputs make an event of first dimension d: 2 d."""
        return 2 * d

    def forward(self, t: Tensor) -> Distribution:
        loc, log_scale = parts("StudentT", t, 2, event_dim=self.event_dim, of="a loc and a log scale")
        return joined(LogScaleStudentT(self.log_df.exp(), loc, log_scale), self.event_dim)

    def extra_repr(self) -> str:
        return f"df={self.log_df.exp().item():.4g}, learn={self.learn}, event_dim={self.event_dim}"
