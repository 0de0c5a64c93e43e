"""The networks, one paper a file; the catalogue; published weights."""
