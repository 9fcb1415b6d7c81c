"""What a manifest takes to run: run it several times, keep medians with their spread, compare them with those of another day.

The modules: `setting` says where figures were measured and what was run, `document` is what is stored, `runs` measures, with
`clocks` that count each node's processor time, `comparison` tells what cannot be compared, and what has become slower.
"""
