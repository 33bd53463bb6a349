"""What is handed on to others through the hub: cards, models, records, pages."""
