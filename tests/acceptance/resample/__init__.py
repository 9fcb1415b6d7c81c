"""Claims about resampling, voice activity, sample formats, and the gate that keeps them fast."""
