"""Networks measured on every runtime of this machine in every precision."""
