"""Claims about audio in: exact for every codec, as fast as its decoder, safe whatever a file holds; and written back."""
