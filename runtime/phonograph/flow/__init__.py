"""The node types that decide where items go and where they meet; they look at no payload, and take any."""

NODES: dict[str, str] = {
    "flow.route": "phonograph.flow.route:Route",
    "flow.filter": "phonograph.flow.filter:Filter",
    "flow.merge": "phonograph.flow.merge:Merge",
    "flow.join": "phonograph.flow.join:Join",
    "flow.zip": "phonograph.flow.zip:Zip",
    "flow.order": "phonograph.flow.order:Order",
    "flow.window": "phonograph.flow.window:Window",
    "flow.collect": "phonograph.flow.collect:Collect",
}
