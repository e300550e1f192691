"""Whether a network finds again what stood far back."""
