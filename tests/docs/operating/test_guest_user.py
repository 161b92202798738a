"""User code as another user, on a machine where every user may read Python and Trimtab: as the guide installs it."""

from pathlib import Path

import pytest
from tests.docs.operating.machine import Machine
from tests.loop.parcels import trying

TRIMTAB = "/opt/trimtab/bin/trimtab"


@pytest.mark.timeout(1800)
def test_own_code_runs_as_the_user_that_a_setting_names(opt: Path, tmp_path: Path) -> None:
    with Machine(tmp_path, opt=opt) as machine:
        srv = machine.folders["srv"]
        trying(srv / "parcels.py", Path("/srv/.trimtab/trimtab.db"), Path("/srv/secret"))
        (srv / "trimtab.toml").write_text('guest_user = "nobody"\nclock = "2013-03-01"\n')
        (srv / "secret").write_text("of root")
        (srv / "secret").chmod(0o600)
        machine.run(f"{TRIMTAB} apply parcels.py --yes --because 'it is tried'")
        assert "runs as nobody" in machine.run(f"{TRIMTAB} doctor")
        (log,) = (srv / ".trimtab" / "logs").rglob("*snapshot-parcels*")
        said, nobody = log.read_text(), machine.run("id -u nobody").strip()
        assert f"AS ({nobody}, {nobody}, {nobody})" in said, said
        assert "[] True" in said
        assert said.count("NOTHING PermissionError") == 2
        assert "GOT" not in said
