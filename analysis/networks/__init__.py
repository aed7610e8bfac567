"""Figures of single networks and architectures."""
