"""From a design to records: runs, tuning, devices, cost."""
