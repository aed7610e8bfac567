"""What networks read and are scored on, and labelled datasets."""
