"""HTML reports: an ordered list of panels and tables each, written by `steadfit.reports.pages.html`."""
