"""The lecture's statements, measured on this machine."""
