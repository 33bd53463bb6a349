"""The tasks that ship: GLUE, the embedded demo, and tables declared in a file."""
