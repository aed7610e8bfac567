"""Updates: from segments to gradients to new weights."""
