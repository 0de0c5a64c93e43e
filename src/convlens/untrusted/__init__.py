"""Files from elsewhere, opened in one place: read once within bounds, checked, and only the checked bytes handed on."""
