"""The command line: what each command takes, and its help, a file each; the work stands in `commands`."""
