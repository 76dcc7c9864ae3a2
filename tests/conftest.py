"""Profiles of hypothesis: the default keeps the whole suite short, `thorough` draws twenty times as many examples."""
from hypothesis import settings

settings.register_profile("default", max_examples=50, deadline=None)
settings.register_profile("thorough", max_examples=1000, deadline=None)
settings.load_profile("default")
