"""Denoising of photographs: files with all that they hold besides pixels, in tiles."""
