"""Unfolding a network and backpropagation through it, full and truncated."""
