"""FHIR clients as their authors publish them, unmodified, each doing what it is used for.

`make clients` installs them, in places of their own: `.venv-clients` (some need other versions of
what Chartlake needs) and `tests/clients/node/node_modules`.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from ..service.conftest import Service

HERE = Path(__file__).parent
PYTHON = HERE.parents[1] / ".venv-clients" / "bin" / "python"
NODE_MODULES = HERE / "node" / "node_modules"


def run(command: list[str], service: Service) -> None:
    done = subprocess.run(
        [*command, f"{service.url}/fhir"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"


@pytest.mark.parametrize("program", sorted(p.name for p in (HERE / "python").glob("*.py")))
def test_python_client(service: Service, program: str) -> None:
    if not PYTHON.exists():
        pytest.skip("the Python clients are not installed: make clients")
    run([str(PYTHON), str(HERE / "python" / program)], service)


@pytest.mark.parametrize("program", sorted(p.name for p in (HERE / "node").glob("*.*js")))
def test_javascript_client(service: Service, program: str) -> None:
    node = shutil.which("node")
    if node is None or not NODE_MODULES.exists():
        pytest.skip("the JavaScript clients are not installed: make clients (needs Node.js 20)")
    run([node, str(HERE / "node" / program)], service)
