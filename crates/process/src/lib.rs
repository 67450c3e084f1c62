//! Werkpilot.
