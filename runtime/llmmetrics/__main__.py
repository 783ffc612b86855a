"""`python -m llmmetrics`: the command line, if its script is not on the PATH."""

import sys

from llmmetrics.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
