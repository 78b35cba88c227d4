from .grid import SweepError as SweepError, sweep as sweep
from .store import StoreFileError as StoreFileError
from .tables import (
    Table as Table,
    TablePlan as TablePlan,
    fault as fault,
    files_read as files_read,
    load_table as load_table,
    make_table as make_table,
    stored_cells as stored_cells,
)
