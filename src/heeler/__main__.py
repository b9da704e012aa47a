"""`python -m heeler` is `heeler`."""

import sys

from heeler.cli import main

sys.exit(main())
