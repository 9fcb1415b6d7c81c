"""Audio in one piece against the same audio in chunks: what `run-pipeline check --chunking` compares."""
