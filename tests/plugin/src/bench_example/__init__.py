"""An example plugin of `bench`: one method and one task, each in a file of its own."""
