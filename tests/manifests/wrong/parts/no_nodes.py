"""A plug-in that imports nodes and declares none."""

from pipeline_nodes import Decode

__all__ = ["Decode"]
