"""Actors own all state that changes: they know messages and mailboxes, never each other."""
