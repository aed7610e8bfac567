"""Windows over many batches: what truncation takes from the gradient, and of its noise."""
