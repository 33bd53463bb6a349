"""What was found, on disk."""
