"""Claims about the manifest language, its types, and the verbs that explain it."""
