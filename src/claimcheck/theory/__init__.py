"""Closed forms, quadratures and estimators that measurements are held against; no network is trained here."""
