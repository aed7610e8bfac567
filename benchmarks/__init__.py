"""Side-by-side runs of rnnsim against peers: ``python -m benchmarks`` from a checkout.

Contestants are functions of a problem (`workloads.draw`), in one module for each library; each
library runs in a process of its own, timed in rounds that take turns (`runner`). Nothing here is
part of the wheel, and no library but rnnsim and NumPy is imported before its turn comes.
"""
