from av.audio.stream import AudioStream
from av.container import InputContainer

from phonograph_nodes.audio.ffmpeg.abi import Abi

class Native:
    def __init__(self, abi: Abi, container: InputContainer, stream: AudioStream) -> None: ...
