"""From clips to features on disk: the first pipeline, end to end."""
