"""``python -m asgi_events`` is the command ``asgi-events``."""

import sys

from asgi_events.cli.command import main

sys.exit(main())
