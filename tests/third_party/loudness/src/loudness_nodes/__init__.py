"""Node types about loudness; importing this catalogue imports no node."""

NODES = {
    "loudness.peak": "loudness_nodes.nodes:peak",
    "loudness.gate": "loudness_nodes.nodes:Gate",
}
