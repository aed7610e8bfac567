"""What the names of arrays say: the layers of networks, by the framework that named them."""
