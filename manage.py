#!/usr/bin/env python
"""The commands of Condarium: ``python manage.py help``."""

from portal.command import main

if __name__ == "__main__":
    main()
