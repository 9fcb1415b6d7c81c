"""What the code says of itself to others: JSON Schemas, the node catalogue, the reference page."""
