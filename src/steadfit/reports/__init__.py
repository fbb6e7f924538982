"""What a person looks at: tables, figures, the gallery of suspects, overlays, the HTML report.

Import from the modules: drawing points into images needs no matplotlib, printing a table needs no OpenCV. `pages` makes
a whole report from a run's tables.
"""
