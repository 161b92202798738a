"""A systemd unit, done by the letter where no systemd runs: every line that the unit has is imposed, or unknown."""

import json
import shlex
import subprocess
from typing import TYPE_CHECKING

from tests.waiting import PATIENCE_S

if TYPE_CHECKING:
    from tests.docs.operating.machine import Machine

SUPERVISING = {"Restart", "RestartSec", "TimeoutStopSec", "KillMode"}
"""What only a running systemd does; ``Running`` stops the service as these say."""
_LINES = {
    "ProtectHome": "mount -t tmpfs -o ro,mode=000 tmpfs /root; mount -t tmpfs -o ro,mode=000 tmpfs /home",
    "ProtectKernelTunables": """
mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys; mount -t sysfs -o ro sysfs /sys
""",
    "ProtectControlGroups": "! grep -q ' /sys/fs/cgroup cgroup2 rw' /proc/mounts",
    "PrivateTmp": "mount -t tmpfs -o mode=1777 tmpfs /tmp; mount -t tmpfs -o mode=1777 tmpfs /var/tmp",
    "PrivateDevices": """
mkdir /tmp/dev && mount -t tmpfs -o mode=755 tmpfs /tmp/dev && mkdir /tmp/dev/shm
for one in null zero full random urandom tty; do touch /tmp/dev/$one && mount --bind /dev/$one /tmp/dev/$one; done
mount -t tmpfs -o mode=1777 tmpfs /tmp/dev/shm && mount --rbind /tmp/dev /dev
""",
}


def read_only(but: str) -> str:
    """The lines that make everything read-only but one folder, ``/tmp``, and what is no disk."""
    return f"""
mount --bind {but} {but}
for at in / /etc /opt /root /srv /var/lib /var/log /run; do mount -o remount,bind,ro $at; done
"""


class Unit:
    """The section ``[Service]`` of a unit."""

    def __init__(self, text: str) -> None:
        service = text.partition("[Service]")[2].partition("[Install]")[0]
        pairs = [line.partition("=") for line in service.splitlines() if line and not line.startswith("#")]
        self.lines = {name: value for name, _, value in pairs}
        assert len(self.lines) == len(pairs), "a line stands twice"

    def script(self) -> str:
        """What sets the service's world up and then becomes the service. A line that nothing here imposes fails."""
        left = dict(self.lines)
        user, group, state = left.pop("User"), left.pop("Group"), f"/var/lib/{left.pop('StateDirectory')}"
        assert left.pop("ProtectSystem") == "strict"
        steps = [f"install -d -o {user} -g {group} -m {left.pop('StateDirectoryMode')} {state}"]
        secrets = left.pop("EnvironmentFile").removeprefix("-")
        steps.append(f"if [ -e {secrets} ]; then set -a; . {secrets}; set +a; fi")
        steps += [_LINES[name] for name in ("PrivateTmp", "PrivateDevices") if left.pop(name) == "yes"]
        steps.append(read_only(state))
        steps += [
            _LINES[name]
            for name in ("ProtectHome", "ProtectKernelTunables", "ProtectControlGroups")
            if left.pop(name) == "yes"
        ]
        files = left.pop("LimitNOFILE")
        # A container may have less to give than a machine.
        enough = f'[ "$(ulimit -Hn)" = unlimited ] || [ "$(ulimit -Hn)" -ge {files} ]'
        steps.append(f"if {enough}; then ulimit -n {files}; fi")
        steps.append(f"umask {left.pop('UMask')}; cd {left.pop('WorkingDirectory')}")
        assert (left.pop("NoNewPrivileges"), left.pop("CapabilityBoundingSet")) == ("yes", "")
        command = left.pop("ExecStart")
        assert set(left) == SUPERVISING, f"no test imposes {set(left) - SUPERVISING}"
        rights = "--no-new-privs --inh-caps=-all --bounding-set=-all"
        steps.append(f"HOME={state} exec setpriv --reuid {user} --regid {group} --init-groups {rights} -- {command}")
        return "\n".join(steps)


class Running:
    """A service that was started."""

    def __init__(self, machine: "Machine", process: "subprocess.Popen[bytes]", unit: Unit) -> None:
        self.process = process
        self.unit = unit
        self._machine = machine

    def stop(self) -> int:
        """Stop as systemd would: ask the main process, and hold it to the time that the unit gives it."""
        home = f"{self.unit.lines['WorkingDirectory']}/.trimtab"
        pid = json.loads(self._machine.run(f"cat {home}/server.json"))["pid"]
        self._machine.run(f"kill -TERM {pid}")
        return self.process.wait(min(float(self.unit.lines["TimeoutStopSec"]), PATIENCE_S))


def started(machine: "Machine", unit: Unit) -> Running:
    """Start a unit's service."""
    return Running(machine, machine.start(f"exec unshare --mount sh -ec {shlex.quote(unit.script())}"), unit)
