"""`python -m core` is `vitrine`."""

import sys

from core.cli import main

sys.exit(main())
