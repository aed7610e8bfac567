"""What all kernels are made of: compilation, vectors, products, norms, functions of numbers."""
