"""What a person brings to an experiment: data and networks of their own."""
