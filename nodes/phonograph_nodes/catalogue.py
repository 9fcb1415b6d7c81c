"""The node types of this package, each by the place of its code, so that looking one up imports nothing else."""

NODES: dict[str, str] = {
    "source.files": "phonograph_nodes.sources:Files",
    "audio.decode": "phonograph_nodes.decode:Decode",
    "audio.resample": "phonograph_nodes.resample.node:Resample",
    "audio.convert": "phonograph_nodes.convert_node:Convert",
    "vad.energy": "phonograph_nodes.vad.node:EnergyVadNode",
    "vad.silero": "phonograph_nodes.vad.silero:SileroVadNode",
    "segment.cut": "phonograph_nodes.segment:Cut",
    "features.log_mel": "phonograph_nodes.features.node:LogMelNode",
    "sink.npy": "phonograph_nodes.writing.arrays:Npy",
    "sink.wav": "phonograph_nodes.writing.wav:Wav",
    "sink.flac": "phonograph_nodes.writing.flac:Flac",
    "sink.opus": "phonograph_nodes.writing.opus:Opus",
    "sink.mp3": "phonograph_nodes.writing.mp3:Mp3",
    "sink.m4a": "phonograph_nodes.writing.m4a:M4a",
    "sink.audio": "phonograph_nodes.writing.matching:Audio",
    "sink.jsonl": "phonograph_nodes.writing.rows:Jsonl",
    "sink.shards": "phonograph_nodes.writing.shards:Shards",
}
