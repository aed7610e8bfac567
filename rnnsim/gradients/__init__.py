"""Running networks forward and differentiating them."""
