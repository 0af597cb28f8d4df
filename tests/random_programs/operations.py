"""Operations of random programs: a Program in, a line of source and its NumPy meaning out.

Tables READS, WRITES, VIEWS and EVENTS give each operation a name. A function draws operands from
the program, computes in NumPy what the line means, and raises Rejected where they do not fit.
"""

from tests.random_programs import reads, views, writes  # noqa: F401  (they fill the tables)
from tests.random_programs.tables import EVENTS, READS, VIEWS, WRITES

__all__ = ["EVENTS", "READS", "VIEWS", "WRITES"]
