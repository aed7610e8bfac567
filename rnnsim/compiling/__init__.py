"""Machine code of all kernels before it is needed: calls that use them, and what these compile."""
