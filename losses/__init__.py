"""Loss terms and perceptual distances for image restoration."""
