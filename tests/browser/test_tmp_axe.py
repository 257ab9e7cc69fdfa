import pytest
from axe_playwright_python.sync_playwright import Axe
from tests.browser.test_ledger import trade  # noqa
pytestmark = pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe(trade, log_in, theme):
    page = log_in("manager", color_scheme=theme)
    faults = []
    for path in ("ledger","ledger/journal","ledger/accounts/1310","ledger/entries/1","revenue","liability","liability/cards","e-invoices"):
        page.goto("/reports/"+path)
        faults += [f"{path}: {f['id']} {f['nodes'][0]['html']}" for f in Axe().run(page).response["violations"]]
    assert faults == []
