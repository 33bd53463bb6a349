"""Controls and small dense models that the sparse methods are held against."""
