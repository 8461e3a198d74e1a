"""What this computer is: who the peer on it is, and how much memory it may use."""
