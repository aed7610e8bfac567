"""Figures of gradient norms and truncation."""
