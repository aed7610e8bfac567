"""What a cell is: its arrays, and the maps between pre-activations and states."""
