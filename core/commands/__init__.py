"""The commands of the command line: one function per command that declares its arguments and what runs."""
