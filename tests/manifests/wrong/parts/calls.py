"""A plug-in that takes secrets, and names them when it refuses them."""

from __future__ import annotations

from typing import Annotated

import msgspec

from phonograph.item import Item
from phonograph.node import Node, Params, Secret, node


class CallParams(Params, frozen=True):
    token: Secret
    header: Annotated[Secret, msgspec.Meta(max_length=4)] = ""
    url: Annotated[str, msgspec.Meta(max_length=8)] = ""

    def __post_init__(self) -> None:
        if len(self.token) < 8:
            raise ValueError(f"token {self.token!r} ({self.token}) has fewer than 8 characters")


@node("plug.call", inputs="audio", outputs="audio")
class Call(Node[CallParams]):
    """Call a service."""

    def process(self, item: Item, state: None) -> Item:
        return item
