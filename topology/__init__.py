"""Who is here and who owns which layers: pure values and functions that touch nothing."""
