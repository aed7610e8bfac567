"""Figures of exponents, phases and products of Jacobians."""
