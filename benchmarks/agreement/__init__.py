"""What every cell, stack and rule of training gives, beside PyTorch's: agreement, no times."""
