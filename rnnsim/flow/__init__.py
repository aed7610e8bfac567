"""Where gradients go, lag by lag and window by window."""
