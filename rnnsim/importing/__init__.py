"""Networks from files."""
