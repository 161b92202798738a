"""SoftHSM: what speaks PKCS#11 as an HSM does."""

import os
import subprocess

import pytest
from tests.docs.operating.tools import tool

LIBRARY = "/usr/lib/softhsm/libsofthsm2.so"
BANK, OTHER = "pkcs11:token=bank", "pkcs11:token=other"
PIN = "824-6713"
SETTINGS = {"pkcs11_library": LIBRARY, "pkcs11_pin": PIN}


@pytest.fixture(scope="session")
def softhsm(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Two tokens of this test session's own. The library reads its settings once in a process, so they stay."""
    program = tool("softhsm2-util", "softhsm2")
    folder = tmp_path_factory.mktemp("softhsm")
    (folder / "tokens").mkdir()
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = str(folder / "softhsm2.conf")
    for label in ("bank", "other"):
        made = [program, "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "officer"]
        subprocess.run(made, check=True, capture_output=True)
