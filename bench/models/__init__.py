"""What an encoder is: its layout, its counts, its folder, and smaller ones made of it."""
