"""What learned distances compare: frozen backbones and their pooling."""
