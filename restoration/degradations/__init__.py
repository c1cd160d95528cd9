"""What spoils an image: noise of training and evaluation, and distortions masks learn from."""
