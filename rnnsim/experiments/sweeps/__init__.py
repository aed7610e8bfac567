"""Sweeps over networks, data and settings."""
