"""Studies that outgrow one process: executors that run their jobs, folders that keep them."""
