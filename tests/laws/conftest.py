"""Who is on trial: `ddpm` is the implementation that every law speaks about."""
import importlib.util
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def ddpm():
    path = Path(__file__).parent.parent / "implementations" / "tinyddpm.py"
    spec = importlib.util.spec_from_file_location("implementation_on_trial", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
