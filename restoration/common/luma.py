"""Weights of red, green and blue in luma."""

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
