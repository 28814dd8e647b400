"""Numbers that follow a schedule from update to update: values that were computed ahead are put in place.

Only the numbers change: no other kernel knows whether one that it reads follows a schedule.
"""

from ..compile import by_address
from ..compile.arguments import Doubles, IntegerPointer
from ..ir import array_at, array_at_address, pointer
from ..tables import (
    CELL_COUNT,
    CELL_FOLLOW,
    CELL_N_SCHEDULED,
    CELL_SCHEDULED,
    SCHEDULED_COLUMNS,
    SCHEDULED_NUMBER,
    SCHEDULED_VALUES,
)


@by_address(CELL_FOLLOW)
def follow(cells: IntegerPointer, hyper: Doubles, update: int) -> None:
    """Overwrite each of these numbers, which may lie in ``hyper``, with what the call's update of this number has."""
    table = array_at_address(array_at(pointer(cells), CELL_COUNT), cells[CELL_SCHEDULED],
                             cells[CELL_N_SCHEDULED] * SCHEDULED_COLUMNS)
    for row in range(0, table.size, SCHEDULED_COLUMNS):
        number = array_at_address(hyper, table[row + SCHEDULED_NUMBER], 1)
        values = array_at_address(hyper, table[row + SCHEDULED_VALUES], update + 1)
        number[0] = values[update]
