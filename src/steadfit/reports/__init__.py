"""Reports: figures, tables for the terminal, pictures of predictions, HTML pages.

A figure is a function that takes plain data and returns a :class:`steadfit.reports.panel.Panel`. Import from the
modules: drawing points into images needs no matplotlib, printing a table needs no OpenCV.
"""
