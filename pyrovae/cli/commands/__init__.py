"""The commands, one a file: what it is called, which options it takes, what it does."""
