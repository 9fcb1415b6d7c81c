"""Claims about log-mel features: exact for every front end, on every instruction set, and fast on a CPU."""
