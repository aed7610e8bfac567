"""Published results beside ours: what was printed, what is computed here, how far apart they are.

Each is a module with `CLAIM` and `MISSING` (texts), `Settings` and `REDUCED`, `compute`, `rows` and
`draw`; `reproduction.py` makes an analysis of it.
"""
