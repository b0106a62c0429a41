"""From results to a report: one Markdown source, set as HTML and as PDF."""
