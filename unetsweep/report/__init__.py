"""What a sweep has come to: rows, and the texts that show them. Pure over records; reads and writes no file."""
