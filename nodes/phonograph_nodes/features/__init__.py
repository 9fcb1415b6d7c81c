"""Log-mel features and MFCC, exact for the front ends that models were trained with, on whole signals and on streams."""

from __future__ import annotations

from phonograph_nodes.features.definition import FrontEnd
from phonograph_nodes.features.log_mel import LogMel, log_mel
from phonograph_nodes.features.named import FRONT_ENDS
from phonograph_nodes.features.node import LogMelNode
from phonograph_nodes.features.params import LogMelParams
from phonograph_nodes.features.stream import LogMelStream

__all__ = ["FRONT_ENDS", "FrontEnd", "LogMel", "LogMelNode", "LogMelParams", "LogMelStream", "log_mel"]
