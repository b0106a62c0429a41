"""What the pipeline keeps: records, provenance, digests, seals, and what of it is there, whole and current."""
