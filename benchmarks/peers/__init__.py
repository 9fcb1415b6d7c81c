"""Other libraries that compute the same features, one file each: how it is called, and what of ours it equals."""
