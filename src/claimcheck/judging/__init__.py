"""From records to verdicts, and what shows that the verdicts can be trusted."""
