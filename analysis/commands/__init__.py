"""What commands are called, say of themselves and can be told; nothing here computes or draws."""
