"""Models by name: their cards, where their weights come from, and the way from a signal to a network and back."""
