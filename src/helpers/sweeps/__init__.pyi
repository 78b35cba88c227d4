from .grid import SweepError as SweepError, sweep as sweep
from .store import StoreFileError as StoreFileError, stored_cells as stored_cells
from .tables import (
    Table as Table,
    TablePlan as TablePlan,
    load_table as load_table,
    make_table as make_table,
    table_fault as table_fault,
    table_files_read as table_files_read,
)
