"""Pages for people: one self-contained HTML file that works offline."""
