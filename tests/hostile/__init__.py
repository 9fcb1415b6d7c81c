"""Hostile audio: files mutated by the ten thousand, fed to the decoder in processes that may die of them."""
