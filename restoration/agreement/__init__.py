"""How far a metric agrees with opinion scores."""
