"""The texts of a report. Pure functions of the records in `analysis.rows`: they read and write no file."""
