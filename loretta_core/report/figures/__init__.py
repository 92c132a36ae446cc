"""Figures of a comparison as SVG text. Import `loretta_core.report.figures.draw`; this file imports nothing, since matplotlib takes a while."""
