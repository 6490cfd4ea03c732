"""SQLite, with those of one process who want to write standing in line."""
