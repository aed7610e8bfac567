"""Figures of W_hh."""
