"""Restormer (Zamir et al. 2022, arXiv:2111.09881): the network, its blocks and their fast forms."""
