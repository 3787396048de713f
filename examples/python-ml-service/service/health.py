"""For HEALTHCHECK: exits with 0 if the service answers. The image needs no curl for that."""

import os
import sys
import urllib.error
import urllib.request

URL = f"http://127.0.0.1:{os.environ.get('PORT', '8080')}/healthz"

try:
    with urllib.request.urlopen(URL, timeout=2) as answer:
        sys.exit(0 if answer.read() == b"ok\n" else 1)
except (OSError, urllib.error.URLError) as error:
    sys.exit(f"{URL}: {error}")
