"""Everything operational."""
