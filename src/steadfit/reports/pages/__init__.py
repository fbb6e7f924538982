"""HTML reports, each an ordered list of panels and tables, written by :mod:`steadfit.reports.pages.html`."""
