"""Jacobians along trajectories, their products and exponents."""
