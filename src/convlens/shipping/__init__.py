"""Export, quantise, verify, predict."""
