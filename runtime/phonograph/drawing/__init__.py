"""Draws graphs: as lines of text, as Mermaid, as SVG. All three draw the same `Picture`."""

from __future__ import annotations
