"""From a Manifest to a Graph: node types found, parameters bound, inputs wired, types unified, oddities told."""
