"""Who belongs to a mesh: its key, the invitation that carries it, and the certificates that prove it."""
