"""Runs a Graph: planned into segments, moved from queue to queue, judged where it fails, counted to the last record."""
