"""Claims about the engine: speed, flow, sessions, scale, and what is left of a run."""
