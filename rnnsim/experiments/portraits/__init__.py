"""All that is known about one network."""
