"""The JSON API: a file for each page that needs one."""
