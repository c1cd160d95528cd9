"""Quality ratings of distorted images: people's (MOS), and pseudo-MOS computed by metrics."""
