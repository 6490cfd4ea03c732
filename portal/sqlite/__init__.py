"""SQLite, with those who want to write standing in line."""
