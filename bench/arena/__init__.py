"""The arena: people try to fool a compressed model, others validate, and rounds become sets."""
