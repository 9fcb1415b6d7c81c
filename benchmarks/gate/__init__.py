"""The gate: fails when a kernel, the decoder or the scheduler has become slower than it was accepted to be.

What is compared is a ratio: the time of a reference, which is work that never changes, over the time of ours, both measured in
the same process in turns. A ratio carries from one minute to the next; on other processors, and with other references, it is
another one, so it is stored for each processor and instruction set and compared with nothing else.
"""
