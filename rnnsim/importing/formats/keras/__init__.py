"""What Keras saves: an HDF5 tree of arrays, the configuration of layers, and both together."""
