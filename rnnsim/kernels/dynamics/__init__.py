"""Frames carried along trajectories, and the exponents they give."""
