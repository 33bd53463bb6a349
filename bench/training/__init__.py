"""From rows to a trained, scored model."""
