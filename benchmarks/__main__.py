"""All benchmarks, one after the other, as one table; status 1 when a budget was missed."""

import sys

from benchmarks import data_check, help_ratio, report_ratio, submit_many
from benchmarks.timing import HEADING

if __name__ == "__main__":
    print(HEADING, flush=True)
    kept = [each.main() for each in (help_ratio, report_ratio, data_check, submit_many)]
    sys.exit(not all(kept))
