"""The network: a U-Net at 0.5 µm/px with dense planes and an ordinal score that adds up."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from her2path.criteria.score import EXPRESSION_SCORES
from her2path.models.design import CELL_CLASSES, PLANES, SCALE, SHIFT, NetworkDesign

__all__ = [
    "Her2Network",
    "Outputs",
    "grown",
    "mean_features",
    "parameter_groups",
    "without_batch_norm",
]


class Outputs(NamedTuple):
    """What the network gives for pictures of M × N px (both multiples of `STRIDE_PX`).

    Attributes
    ----------
    planes : Tensor of shape (B, 6, M, N)
        Logits of `PLANES`.
    weight : Tensor of shape (B, 1, M / 16, N / 16)
        Expected number of tumor cells whose centre lies at the position, ≥ 0.
    features : Tensor of shape (B, K, M / 16, N / 16)
        Features of the tumor cells there, each in 0–1.
    cell_logits : Tensor of shape (B, len(CELL_CLASSES), M / 16, N / 16)
        What the first features are the softmax of.
    """

    planes: Tensor
    weight: Tensor
    features: Tensor
    cell_logits: Tensor


def convolution(
    n_in: int, n_out: int, size: int = 3, stride: int = 1, padding: int | None = None
) -> nn.Sequential:
    """Return convolution, batch normalisation and ReLU."""
    if padding is None:
        padding = size // 2 if stride == 1 else 0
    return nn.Sequential(
        nn.Conv2d(n_in, n_out, size, stride=stride, padding=padding, bias=False),
        nn.BatchNorm2d(n_out, momentum=0.05),
        nn.ReLU(inplace=True),
    )


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions whose result is added to what they were given; at first it adds nothing.

    Source: He et al., CVPR 2016, doi 10.1109/CVPR.2016.90; begun at nothing: Goyal et al.,
    arXiv 1706.02677.
    """

    def __init__(self, n: int) -> None:
        super().__init__()
        self.first = convolution(n, n)
        self.second = nn.Sequential(
            nn.Conv2d(n, n, 3, padding=1, bias=False), nn.BatchNorm2d(n, momentum=0.05)
        )
        nn.init.zeros_(self.second[1].get_parameter("weight"))

    def forward(self, planes: Tensor) -> Tensor:
        """Return planes of the same shape."""
        return functional.relu(planes + self.second(self.first(planes)))


class CompactEncoder(nn.Module):
    """Stages at strides 2, 4, 8 and 16; dense convolutions, which a processor does fastest."""

    channels = (16, 32, 64, 128)

    def __init__(self) -> None:
        super().__init__()
        a, b, c, d = self.channels
        # The same as 3×3 over pixels folded 2 × 2 into channels, without moving any pixel.
        self.stage2 = convolution(3, a, 6, 2, padding=2)
        self.stage4 = nn.Sequential(convolution(a, b, 2, 2), convolution(b, b), convolution(b, b))
        self.stage8 = nn.Sequential(convolution(b, c, 2, 2), convolution(c, c), convolution(c, c))
        self.stage16 = nn.Sequential(convolution(c, d, 2, 2), convolution(d, d), convolution(d, d))

    def forward(self, rgb: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the four stages."""
        at2 = self.stage2(rgb)
        at4 = self.stage4(at2)
        at8 = self.stage8(at4)
        return at2, at4, at8, self.stage16(at8)


class DeepEncoder(CompactEncoder):
    """The compact stages, those at strides 8 and 16 each followed by a residual block."""

    def __init__(self) -> None:
        super().__init__()
        _, _, c, d = self.channels
        self.stage8.append(ResidualBlock(c))
        self.stage16.append(ResidualBlock(d))


class Resnet18Encoder(nn.Module):
    """torchvision's ResNet-18 up to stride 16: about nine times the work of the compact one."""

    channels = (64, 64, 128, 256)

    def __init__(self) -> None:
        super().__init__()
        from her2path.models.torchvision_models import untrained_resnet18

        net = untrained_resnet18()
        self.stage2 = nn.Sequential(net.conv1, net.bn1, net.relu)
        self.stage4 = nn.Sequential(net.maxpool, net.layer1)
        self.stage8 = net.layer2
        self.stage16 = net.layer3

    def forward(self, rgb: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the four stages."""
        at2 = self.stage2(rgb)
        at4 = self.stage4(at2)
        at8 = self.stage8(at4)
        return at2, at4, at8, self.stage16(at8)


ENCODERS: dict[str, type[CompactEncoder] | type[Resnet18Encoder]] = {
    "compact": CompactEncoder,
    "deep": DeepEncoder,
    "resnet18": Resnet18Encoder,
}


class Her2Network(nn.Module):
    """RGB (0–1) at 0.5 µm/px in, dense planes and a score that adds up over positions out.

    A position's features count by how many tumor cells it holds, so the score of any area is
    read from two sums over its positions, and tiles can be added in any order.

    Parameters
    ----------
    design : NetworkDesign
        What to build.

    Notes
    -----
    Ordinal regression by one cumulative logit: McCullagh, J R Stat Soc B 1980;42:109–142.
    """

    def __init__(self, design: NetworkDesign) -> None:
        super().__init__()
        self.design = design
        self.encoder = ENCODERS[design.backbone]()
        c2, c4, c8, c16 = self.encoder.channels
        self.lower8 = nn.Conv2d(c16, c8, 1)
        self.join8 = convolution(c8, c8)
        self.lower4 = nn.Conv2d(c8, c4, 1)
        self.join4 = convolution(c4, c4)
        self.lower2 = nn.Conv2d(c4, c2, 1)
        self.join2 = convolution(c2, c2)
        self.planes = nn.Conv2d(c2, 4 * len(PLANES), 1)
        self.position = convolution(c2 + c4 + c16, 64, 1)
        self.position_out = nn.Conv2d(64, 1 + design.n_features, 1)
        self.hidden = nn.Linear(design.n_features, design.n_hidden)
        self.grade = nn.Linear(design.n_hidden, 1)
        n_cuts = len(EXPRESSION_SCORES) - 1
        self.first_cut = nn.Parameter(torch.tensor(-float(n_cuts)))
        # Steps between cuts, through softplus: the cuts cannot change their order.
        self.cut_steps = nn.Parameter(torch.full((n_cuts - 1,), 2.0))
        nn.init.constant_(self.planes.get_parameter("bias"), -2.0)

    def forward(self, rgb: Tensor) -> Outputs:
        """Read pictures.

        Parameters
        ----------
        rgb : Tensor of shape (B, 3, M, N)
            Light, 0–1, at 0.5 µm/px; M and N multiples of `STRIDE_PX`.
        """
        at2, position = self.trunk(rgb * SCALE - SHIFT)
        planes = functional.pixel_shuffle(self.planes(at2), 2)
        n_classes = len(CELL_CLASSES)
        return Outputs(
            planes,
            self.weights_of(position),
            self.features_of(position),
            position[:, 1 : 1 + n_classes],
        )

    def trunk(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        """Return the last stage at stride 2, and the logits of the positions."""
        at2, at4, at8, at16 = self.encoder(rgb)
        at8 = self.join8(at8 + twice(self.lower8(at16)))
        at4 = self.join4(at4 + twice(self.lower4(at8)))
        at2 = self.join2(at2 + twice(self.lower2(at4)))
        seen = torch.cat(
            [functional.avg_pool2d(at2, 8), functional.avg_pool2d(at4, 4), at16], dim=1
        )
        return at2, self.position_out(self.position(seen))

    def weights_of(self, position: Tensor) -> Tensor:
        """Return the numbers of tumor cells, (B, 1, ·, ·), from the logits of the positions."""
        return functional.softplus(position[:, :1] - 1.0)

    def features_of(self, position: Tensor) -> Tensor:
        """Return the features, (B, K, ·, ·), from the logits of the positions."""
        end = 1 + len(CELL_CLASSES)
        kinds = torch.softmax(position[:, 1:end], dim=1)
        return torch.cat([kinds, torch.sigmoid(position[:, end:])], dim=1)

    def cut_points(self) -> Tensor:
        """Return the four cuts between the five scores, ascending."""
        steps = functional.softplus(self.cut_steps)
        return self.first_cut + torch.cat([steps.new_zeros(1), torch.cumsum(steps, 0)])

    def above_logits(self, features: Tensor) -> Tensor:
        """Return the logits of being above each cut.

        Parameters
        ----------
        features : Tensor of shape (B, K)
            Mean features of areas.

        Returns
        -------
        Tensor of shape (B, 4)
            Falls from left to right.
        """
        hidden = functional.relu(self.hidden(features))
        grade: Tensor = 4.0 * self.grade(hidden)
        return grade - self.cut_points()

    def score_probabilities(self, features: Tensor) -> Tensor:
        """Return the probabilities of 0, 0+, 1+, 2+, 3+ for mean features: (B, K) to (B, 5)."""
        above = torch.sigmoid(self.above_logits(features))
        ends = above.new_ones((len(above), 1)), above.new_zeros((len(above), 1))
        bounds = torch.cat([ends[0], above, ends[1]], dim=1)
        return bounds[:, :-1] - bounds[:, 1:]


def grown(network: Her2Network, design: NetworkDesign) -> Her2Network:
    """Return a network of another design that answers as this one does, to be trained further.

    Raises
    ------
    ValueError
        When the design is neither the same nor the deep form of a compact one.
    """
    deeper = replace(network.design, backbone="deep")
    if design != network.design and (network.design.backbone, design) != ("compact", deeper):
        raise ValueError(f"{network.design} cannot grow to {design}")
    found = Her2Network(design)
    # What is missing are the blocks that add nothing at first.
    found.load_state_dict(network.state_dict(), strict=False)
    return found


def twice(planes: Tensor) -> Tensor:
    """Return planes with each position repeated over 2 × 2."""
    return functional.interpolate(planes, scale_factor=2.0, mode="nearest")


def mean_features(weight: Tensor, features: Tensor) -> Tensor:
    """Return the features of whole pictures, (B, K): each position counts by its weight."""
    total = weight.sum(dim=(1, 2, 3)).clamp_min(1e-6)
    return (weight * features).sum(dim=(2, 3)) / total[:, None]


def without_batch_norm(network: Her2Network) -> Her2Network:
    """Fold each batch normalisation into the convolution before it (in place) for inference."""
    network.eval()
    for module in network.modules():
        if isinstance(module, nn.Sequential) and len(module) > 1:
            first, second = module[0], module[1]
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                module[0] = fuse_conv_bn_eval(first, second)
                module[1] = nn.Identity()
    return network


def parameter_groups(network: Her2Network, weight_decay: float) -> list[dict[str, object]]:
    """Return the parameters with decay (weights) and without (biases, scales, cuts)."""
    decayed = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    return [
        {"params": decayed, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
