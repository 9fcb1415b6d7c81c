"""The node types of this package, each by the place of its code, so that looking one up imports nothing else."""

NODES: dict[str, str] = {
    "source.files": "phonograph_nodes.sources:Files",
    "audio.decode": "phonograph_nodes.decode:Decode",
    "audio.resample": "phonograph_nodes.resample.node:Resample",
    "audio.convert": "phonograph_nodes.convert:Convert",
    "vad.energy": "phonograph_nodes.vad.node:EnergyVadNode",
    "vad.silero": "phonograph_nodes.vad.silero:SileroVadNode",
    "segment.cut": "phonograph_nodes.segment:Cut",
    "features.log_mel": "phonograph_nodes.features.node:LogMelNode",
    "sink.npy": "phonograph_nodes.write:Npy",
    "sink.wav": "phonograph_nodes.write:Wav",
    "sink.jsonl": "phonograph_nodes.write:Jsonl",
}
