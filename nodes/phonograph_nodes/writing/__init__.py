"""Sinks: arrays to NumPy files, audio to files of five formats, facts to JSON Lines."""
