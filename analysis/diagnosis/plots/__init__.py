"""Figures of diagnoses: plots of one or two of them, and the pictures of a page."""
