"""Many networks trained and measured as one; knows no study and no claim."""
