"""Where gradients go: every lag and every window in one pass."""
