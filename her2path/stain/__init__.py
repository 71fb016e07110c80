"""Optical density and the separation of hematoxylin from DAB."""

from her2path.stain.matrix import StainMatrix
from her2path.stain.od import WhitePoint, optical_density
from her2path.stain.separate import STEPS_PER_OD, separate

__all__ = ["STEPS_PER_OD", "StainMatrix", "WhitePoint", "optical_density", "separate"]
