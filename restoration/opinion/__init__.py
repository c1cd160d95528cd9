"""Opinion scores of distorted images: people's data sets, and scores computed by other metrics."""
