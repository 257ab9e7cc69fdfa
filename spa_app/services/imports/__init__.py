"""Customers and their cards out of another system's CSV export.

``read_table`` makes rows of bytes, ``plan_import`` says what would become of each, ``import_table`` does it in one
transaction. What the columns may be called and hold is in ``table`` and ``values``; what is decided about a row is in
``plan``.
"""

from spa_app.services.imports.plan import ImportPlan, RowReport, plan_import
from spa_app.services.imports.store import import_table
from spa_app.services.imports.table import Table, read_table

__all__ = ["ImportPlan", "RowReport", "Table", "import_table", "plan_import", "read_table"]
