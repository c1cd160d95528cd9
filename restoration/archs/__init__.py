"""Package archs."""
