"""What networks read and are scored on."""
