"""What was: the append-only log. The only code that touches the database."""
