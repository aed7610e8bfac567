"""What is compared: rnnsim and other libraries."""
