"""What all analyses share: how they run, their settings, how figures look."""
