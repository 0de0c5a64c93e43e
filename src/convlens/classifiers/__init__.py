"""The one door to a trained network: runs, artifacts, names of the catalogue, code and modules."""
