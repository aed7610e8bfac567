"""What is compared: the workloads, and rnnsim and other libraries on them."""
