"""What happens in one cell, in whatever process."""
