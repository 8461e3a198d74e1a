"""`meshinfer bench`: how fast a mesh answers, by ring size, prompt and readers, as table, JSON and chart."""
