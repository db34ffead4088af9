"""Figures, moving pictures and pages."""
