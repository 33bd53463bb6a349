"""From a task or a text to tokenised rows."""
