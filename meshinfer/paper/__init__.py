"""Plans on paper: machines that nobody has to own yet, and how fast a ring of them would be."""
