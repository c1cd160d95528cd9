"""Maps of where an error is and where it can be seen, and the figure of them."""
