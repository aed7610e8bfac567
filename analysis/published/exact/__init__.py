"""Closed forms and limits: what is computed here must agree within a stated deviation."""
