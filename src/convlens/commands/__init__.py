"""The work of each command, a file each: call, print. What a command takes, and its help, stand in `cli`."""
