"""What becomes of a delivered model."""
