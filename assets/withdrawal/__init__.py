"""Withdrawal: taking documents out of everything that was made from them, and proving that they are gone."""
