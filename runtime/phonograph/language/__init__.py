"""From text to a frozen Manifest: YAML 1.2 with positions, what is included and overridden, parameters, nodes as written."""
