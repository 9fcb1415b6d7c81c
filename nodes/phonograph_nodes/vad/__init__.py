"""Speech detection: by signal level on whole signals and on streams, and by a neural network."""

from __future__ import annotations

from phonograph_nodes.vad.energy import energy_vad
from phonograph_nodes.vad.found import EnergyVad, VadFrames, VadUpdate
from phonograph_nodes.vad.node import EnergyVadNode, EnergyVadParams
from phonograph_nodes.vad.stream import EnergyVadStream

__all__ = ["EnergyVad", "EnergyVadNode", "EnergyVadParams", "EnergyVadStream", "VadFrames", "VadUpdate", "energy_vad"]
