"""From what was asked for to records."""
