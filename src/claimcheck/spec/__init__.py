"""What may be said about a study, and the runs that follow from it."""
