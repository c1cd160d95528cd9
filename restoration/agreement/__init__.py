"""How well metrics agree with quality ratings: people's (MOS), or pseudo-MOS."""
