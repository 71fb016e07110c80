"""Read pictures with a trained network: planes per pixel, and sums that give the score."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from her2path.errors import ModelError
from her2path.models.checkpoint import load_checkpoint
from her2path.models.description import SHIFTED_PLANES, ModelDescription
from her2path.models.design import (
    INPUT,
    N_DENSE,
    OUTPUTS,
    PLANES,
    SCALE,
    SHIFT,
    STRIDE_PX,
    Runner,
    unfolded,
)
from her2path.models.devices import CardFullError, choose_device, multiplies_bfloat16
from her2path.models.score_head import ScoreHead
from her2path.statistics.temperature import ordinal_probabilities

__all__ = ["NetworkPlanes", "NetworkReader", "box_factor", "onnx_runner", "shifted", "stepped"]

logger = logging.getLogger(__name__)

# Pieces that are read at once are as large as a square of this side, and their halo: about 170
# bytes of memory for each pixel. A tile of 768 µm with the halo of a deep network, on corners that
# suit its grid, is one piece at 0.5 µm/px, 3.9 MP.
PIECE_PX = 1968
LEAST_PIECE_PX = 128
# Whole boxes of pixels are averaged where that comes this near to the network's µm/px.
BOX_RANGE = (0.42, 0.58)


@dataclass(frozen=True, slots=True)
class NetworkPlanes:
    """What the network sees in a picture.

    Attributes
    ----------
    nucleus, centre, membrane : ndarray of shape (M, N), uint8
        Probabilities, 255 = 1: foreground of nuclei, a bump at each one's centre, stained
        membrane.
    tumor : ndarray of shape (M, N), uint8
        Probability that a cell here is an invasive tumor cell and not another cell.
    outside : ndarray of shape (M, N), uint8
        Probability that here is no tissue to read: glass, fold, pen, out of focus.
    weight : ndarray of shape (P, Q), float32
        Expected number of tumor cells at each position of the coarse grid.
    features : ndarray of shape (P, Q, K), float32
        Features of the tumor cells there. The score of an area is read from the sums of
        ``weight`` and of ``weight · features`` over its positions.
    mpp : float
        µm/px of the planes.
    downsample : float
        Pixels of the picture per pixel of the planes, along both axes.
    stride : int
        Pixels of the planes per position: position (p, q) covers rows ``stride·p`` to
        ``stride·(p + 1)``.
    """

    nucleus: NDArray[np.uint8]
    centre: NDArray[np.uint8]
    membrane: NDArray[np.uint8]
    tumor: NDArray[np.uint8]
    outside: NDArray[np.uint8]
    weight: NDArray[np.float32]
    features: NDArray[np.float32]
    mpp: float
    downsample: float
    stride: int = STRIDE_PX


def box_factor(mpp: float, network_mpp: float) -> int:
    """Return the side of the boxes of pixels to average, 0 where no whole number fits.

    Parameters
    ----------
    mpp, network_mpp : float
        µm/px of the picture and of the network.
    """
    factor = max(1, round(network_mpp / mpp))
    low, high = (limit * network_mpp / 0.5 for limit in BOX_RANGE)
    return factor if low <= factor * mpp <= high else 0


def stepped(downsample: float) -> float:
    """Return a downsample of which one position of the coarse grid spans whole px.

    Frames of a slide begin at multiples of that many px, so that its planes are the same whatever
    the tiles; and places between px are multiples of 1/32 px, which warping knows exactly. The
    µm/px that a network reads then differs by 4.5 % at most from its own, less than boxes do.
    """
    return max(1, round(downsample * STRIDE_PX)) / STRIDE_PX


class NetworkReader:
    """A trained network, ready to read.

    On a processor the network runs as ONNX where the checkpoint has it, unless bf16 is asked for:
    that is faster than torch in fp32, gives the same on every processor, and torch, which takes
    seconds to load, need not be.
    In fp32 both give the same answers within one step of 8 bits, before a stated cut spreads the
    steps, and 1e-3 of weight and features (`her2path.models.runtimes`, which
    `her2path models verify` asks). In bf16 planes differ by more (a test holds their mean within
    1.5 steps and the weight within 5 % and 0.02).

    Parameters
    ----------
    folder : Path
        A checkpoint folder.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    threads : int
        Threads of the processor.
    runtime : str
        ``auto``, ``torch`` or ``onnx``.
    precision : str
        Of torch: ``fp32``, ``bf16``, or ``auto``, which is bf16 on a graphics card and on
        processors that multiply it in hardware.

    Raises
    ------
    ModelError
        When the checkpoint is damaged or does not fit, or the device is not there.
    """

    def __init__(
        self,
        folder: Path,
        *,
        device: str = "auto",
        threads: int = 1,
        runtime: str = "auto",
        precision: str = "auto",
    ) -> None:
        checkpoint = load_checkpoint(folder)
        self.description: ModelDescription = checkpoint.description
        check_reading(folder, self.description)
        self.device = choose_device(device)
        self._head = ScoreHead.of(checkpoint)
        self.piece_px = PIECE_PX
        # What pictures must bring along round what is wanted, in µm and in px of the planes.
        reach = math.ceil(checkpoint.design.reach_px / STRIDE_PX) * STRIDE_PX
        self.halo_px = reach
        self.halo_um = reach * self.description.mpp
        if runtime not in ("auto", "torch", "onnx"):
            raise ModelError(f"runtime {runtime!r}: use auto, torch or onnx")
        if precision not in ("auto", "fp32", "bf16"):
            raise ModelError(f"precision {precision!r}: use auto, fp32 or bf16")
        may_use_onnx = self.device == "cpu" and precision != "bf16" and checkpoint.has_onnx
        use_onnx = may_use_onnx and runtime != "torch"
        if runtime == "onnx" and not use_onnx:
            raise ModelError(
                f"{folder} cannot run as ONNX on {self.device}: it has no model.onnx, or "
                "ONNX is only for --device cpu in fp32"
            )
        self.runtime = "onnx" if use_onnx else "torch"
        self.precision = "fp32"
        self._run: Runner
        if use_onnx:
            self._run = onnx_runner(
                checkpoint.read_onnx(), threads, n_features=self._head.n_features
            )
        else:
            import torch

            from her2path.models.torch_reading import network_of, torch_runner

            if self.device == "cpu":
                torch.set_num_threads(threads)
            use_half = precision == "bf16" or (
                precision == "auto" and multiplies_bfloat16(self.device)
            )
            self.precision = "bf16" if use_half else "fp32"
            self._run = torch_runner(
                network_of(checkpoint), torch.device(self.device), use_half=use_half
            )

    @property
    def runs(self) -> str:
        """By what, in which precision and on which device, as results keep it."""
        return f"{self.runtime}, {self.precision}, on {self.device}"

    def read(self, rgb: NDArray[np.uint8], mpp: float) -> NetworkPlanes:
        """Read a picture.

        Two pictures of a slide agree where they overlap, further than `halo_um` from the border
        of either, if both begin at a multiple of ``stride · downsample`` px.

        Parameters
        ----------
        rgb : ndarray of shape (M, N, 3), uint8
            The picture.
        mpp : float
            Its µm/px.

        Returns
        -------
        NetworkPlanes
            Planes of ``ceil(M / downsample)`` rows.

        Raises
        ------
        ModelError
            When the network is not made for this µm/px.
        """
        self.description.check_mpp(mpp)
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or 0 in rgb.shape:
            raise ModelError(
                f"a picture of shape {rgb.shape} and {rgb.dtype}: give (rows, columns, 3) in uint8"
            )
        small, downsample = self.resampled(rgb, mpp)
        rows, cols = small.shape[:2]
        planes, weight, features = self.read_at_network_mpp(small)
        named = dict(zip(SHIFTED_PLANES, planes[:, :rows, :cols], strict=True))
        for name, cut in self.description.calibration.plane_cuts.items():
            named[name] = shifted(named[name], cut)
        return NetworkPlanes(
            **named,
            weight=weight,
            features=features,
            mpp=mpp * downsample,
            downsample=downsample,
        )

    def resampled(self, rgb: NDArray[np.uint8], mpp: float) -> tuple[NDArray[np.uint8], float]:
        """Return the picture at about the network's µm/px, and px of it per px of that."""
        factor = box_factor(mpp, self.description.mpp)
        rows, cols = rgb.shape[:2]
        if factor == 1:
            return rgb, 1.0
        if factor:
            # The border is repeated so that the last boxes are whole.
            grown = cv2.copyMakeBorder(
                rgb, 0, -rows % factor, 0, -cols % factor, cv2.BORDER_REPLICATE
            )
            size = (grown.shape[1] // factor, grown.shape[0] // factor)
            small = cv2.resize(grown, size, interpolation=cv2.INTER_AREA)
            return np.asarray(small, np.uint8), float(factor)
        downsample = stepped(self.description.mpp / mpp)
        size = (math.ceil(cols / downsample), math.ceil(rows / downsample))
        if downsample > 1:
            # Warping takes points: what lies between them is averaged before.
            sigma = 0.42 * math.sqrt(downsample**2 - 0.5)
            rgb = np.asarray(cv2.GaussianBlur(rgb, (0, 0), sigma), np.uint8)
        # Corners of pixels coincide, not their middles.
        shift = 0.5 * downsample - 0.5
        matrix = np.array([[downsample, 0.0, shift], [0.0, downsample, shift]])
        small = cv2.warpAffine(
            rgb,
            matrix,
            size,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return np.asarray(small, np.uint8), downsample

    def read_at_network_mpp(
        self, rgb: NDArray[np.uint8]
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]:
        """Read in pieces of bounded size that overlap by the halo; the seams do not show."""
        rows, cols = rgb.shape[:2]
        # A mirror needs more than it adds.
        border = cv2.BORDER_REFLECT_101 if min(rows, cols) > STRIDE_PX else cv2.BORDER_REPLICATE
        padded = np.asarray(
            cv2.copyMakeBorder(rgb, 0, -rows % STRIDE_PX, 0, -cols % STRIDE_PX, border), np.uint8
        )
        while True:
            try:
                return self.read_pieces(padded)
            except CardFullError as error:
                if self.piece_px <= LEAST_PIECE_PX:
                    raise ModelError(
                        f"the graphics card's memory does not hold {self.piece_px} × "
                        f"{self.piece_px} px: use --device cpu"
                    ) from error
                self.piece_px //= 2
                logger.warning(
                    "the graphics card is out of memory; reading pieces of %d px", self.piece_px
                )

    def read_pieces(
        self, rgb: NDArray[np.uint8]
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]:
        """Read a picture whose sides are multiples of the stride."""
        rows, cols = rgb.shape[:2]
        s, halo = STRIDE_PX, self.halo_px
        step_r, step_c = piece_size(rows, cols, self.piece_px, halo)
        planes = np.empty((len(SHIFTED_PLANES), rows, cols), np.uint8)
        weight = np.empty((rows // s, cols // s), np.float32)
        features = np.empty((*weight.shape, self._head.n_features), np.float32)
        for top in range(0, rows, step_r):
            for left in range(0, cols, step_c):
                bottom, right = min(top + step_r, rows), min(left + step_c, cols)
                r0, c0 = max(0, top - halo), max(0, left - halo)
                piece = rgb[r0 : min(rows, bottom + halo), c0 : min(cols, right + halo)]
                dense, weights, found = self._run(np.ascontiguousarray(piece[None]))
                inner = np.s_[top - r0 : bottom - r0, left - c0 : right - c0]
                planes[:, top:bottom, left:right] = unfolded(dense[0])[:, inner[0], inner[1]]
                outer = np.s_[top // s : bottom // s, left // s : right // s]
                coarse = np.s_[
                    (top - r0) // s : (bottom - r0) // s, (left - c0) // s : (right - c0) // s
                ]
                weight[outer] = weights[0, 0][coarse]
                features[outer] = found[0].transpose(1, 2, 0)[coarse]
        return planes, weight, features

    def score_logits(self, mean_features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the uncalibrated logits of lying above each cut between two scores, (n, 4).

        Parameters
        ----------
        mean_features : ndarray of shape (n, K)
            Sum of ``weight · features`` over the sum of ``weight`` of each area.
        """
        return self._head.above_logits(np.asarray(mean_features, np.float64))

    def score_probabilities(self, mean_features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the calibrated probabilities of 0, 0+, 1+, 2+, 3+ of areas, shape (n, 5).

        Parameters
        ----------
        mean_features : ndarray of shape (n, K)
            As for `score_logits`.
        """
        stated = self.description.calibration
        return ordinal_probabilities(
            self.score_logits(mean_features), stated.temperature, stated.shifts
        )


def shifted(plane: NDArray[np.uint8], cut: float) -> NDArray[np.uint8]:
    """Return probabilities (255 = 1) whose logits were moved so that `cut` becomes one half."""
    p = np.arange(256) / 255.0
    moved = p * (1 - cut) / (p * (1 - cut) + (1 - p) * cut)
    return np.rint(255 * moved).astype(np.uint8)[plane]


def piece_size(rows: int, cols: int, most_px: int, halo: int) -> tuple[int, int]:
    """Return rows and columns of even pieces, multiples of the stride, that read least twice.

    Parameters
    ----------
    rows, cols : int
        Of the picture, multiples of the stride.
    most_px : int
        A piece is no larger than a square of this side, its halo not counted.
    halo : int
        What a piece reads beyond itself on each side that is not the picture's, px.
    """
    s = STRIDE_PX
    best, least = (s, s), math.inf
    for step_r in range(s, rows + s, s):
        step_c = min(most_px**2 // step_r // s * s, cols)
        if not step_c:
            break
        n_r, n_c = -(-rows // step_r), -(-cols // step_c)
        n_read = (rows + 2 * halo * (n_r - 1)) * (cols + 2 * halo * (n_c - 1))
        if n_read < least:
            # Even ones: a thin last piece would be mostly halo.
            best, least = (-(-rows // (n_r * s)) * s, -(-cols // (n_c * s)) * s), n_read
    return best


def check_reading(folder: Path, description: ModelDescription) -> None:
    """Refuse a network whose pictures or planes are others than this version gives and reads.

    Raises
    ------
    ModelError
        With what differs.
    """
    given = description.normalisation
    stated = {
        "planes": (description.planes, description.tissue_classes),
        "normalisation": (*given.mean, *given.std),
    }
    known = {
        "planes": (PLANES[:N_DENSE], PLANES[N_DENSE:]),
        "normalisation": (SHIFT / SCALE,) * 3 + (1 / SCALE,) * 3,
    }
    differing = [name for name in known if stated[name] != known[name]]
    if differing:
        raise ModelError(
            f"{folder} was made with other {', '.join(differing)} than this version reads; fetch "
            "or train the model again"
        )


def onnx_runner(model: bytes, threads: int, *, n_features: int) -> Runner:
    """Return what reads pictures by ONNX Runtime.

    Raises
    ------
    ModelError
        When it cannot be run, or takes or gives something else than `PixelReader` does.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        # Its exceptions have no common root but this.
        raise ModelError(
            f"ONNX Runtime cannot use the model ({error}); fetch or train it again"
        ) from error
    wanted = (
        ("tensor(uint8)", 4 * len(SHIFTED_PLANES)),
        ("tensor(float)", 1),
        ("tensor(float)", n_features),
    )
    given = {part.name: (part.type, *part.shape[1:2]) for part in session.get_outputs()}
    taken = [part.name for part in session.get_inputs()]
    if taken != [INPUT] or given != dict(zip(OUTPUTS, wanted, strict=True)):
        raise ModelError(
            f"the ONNX model takes {taken} and gives {given}, which this version does not read; "
            "fetch or train it again"
        )

    def run(
        rgb: NDArray[np.uint8],
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]:
        planes, weight, features = session.run(list(OUTPUTS), {INPUT: rgb})
        return planes, weight, features

    return run
