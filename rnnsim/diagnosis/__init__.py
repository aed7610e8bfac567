"""What a network does with gradients and states, in findings that carry their evidence."""
