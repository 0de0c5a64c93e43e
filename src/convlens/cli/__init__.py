"""The command line: a command a file, each thin: parse, call, print."""
