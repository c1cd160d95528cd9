"""Package masking."""
