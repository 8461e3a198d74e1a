"""Draws a model's ring for people elsewhere: as Mermaid, as Graphviz's dot, as SVG. Pure functions all."""
