"""What papers say in words, or show for other data: nothing is claimed to agree."""
