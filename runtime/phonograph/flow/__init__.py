"""The node types that decide where items go; they look at no payload, and take any."""

NODES: dict[str, str] = {
    "flow.route": "phonograph.flow.route:Route",
    "flow.filter": "phonograph.flow.filter:Filter",
}
