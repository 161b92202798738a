"""The walls around a process that runs the user's own code: what it cannot read, write, call or signal.

Built from what the system offers, without any privilege: Landlock (which files), seccomp (which calls), the mark that
keeps others of the same user out of a process's memory, and another user where root starts it. A process goes behind
them before it reads a line of the user's, and nothing in it, nor what it starts, comes back out.
"""

import contextlib
import ctypes
import os
import platform
import struct
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

WallName = Literal["environment", "files", "signals", "calls", "memory", "user"]

_READ_FILE, _READ_FOLDER, _EXECUTE = 1 << 2, 1 << 3, 1 << 0
_WRITE_FILE, _TRUNCATE, _IOCTL = 1 << 1, 1 << 14, 1 << 15
_REFER = 1 << 13
_CHANGE = _WRITE_FILE | sum(1 << bit for bit in (4, 5, 7, 8, 9, 10, 12))  # remove, make folders, files, sockets, links
_FIRST = (1 << 13) - 1
_SIGNALS = 1 << 1
_CREATE_RULES, _ADD_RULE, _RESTRICT = 444, 445, 446  # the same on every machine
_NO_NEW_PRIVILEGES, _SECCOMP, _DUMPABLE, _DROP_CAPABILITY = 38, 22, 4, 24  # of prctl
_KEPT_CAPABILITIES = (0, 1, 3)
"""CHOWN, DAC_OVERRIDE and FOWNER: root's own files may belong to others; what may be read is Landlock's business."""
_ERRNO, _ALLOW, _KILL = 0x00050001, 0x7FFF0000, 0x80000000  # 1: EPERM
_MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
_DENIED = {
    # Other processes' memory and descriptors, the kernel's keys, its modules and programs, mounts and namespaces.
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "pidfd_getfd": (438, 438),
    "process_madvise": (440, 440), "kcmp": (312, 272), "add_key": (248, 217), "request_key": (249, 218),
    "keyctl": (250, 219), "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "setns": (308, 268),
    "unshare": (272, 97), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "fsmount": (432, 432), "open_by_handle_at": (304, 265), "init_module": (175, 105), "finit_module": (313, 273),
    "delete_module": (176, 106), "kexec_load": (246, 104), "kexec_file_load": (320, 294), "reboot": (169, 142),
    "swapon": (167, 224), "swapoff": (168, 225), "acct": (163, 89), "quotactl": (179, 60), "syslog": (103, 116),
    "io_uring_setup": (425, 425), "personality": (135, 92),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Wall:
    """One wall: whether it stands on this machine, and what it keeps out or why it is missing."""

    name: WallName
    stands: bool
    detail: str


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What a process behind the walls may still do: read, write, and use as devices. ``user``: who it becomes."""

    read: tuple[str, ...]
    write: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    user: tuple[int, int] | None = None


def walls(*, user: str = "") -> tuple[Wall, ...]:
    """Return the walls that user code is put behind on this machine. ``user`` is the setting ``guest_user``."""
    version, on_linux = _landlock(), sys.platform == "linux"
    without = f"{f'the kernel {platform.release()}' if on_linux else sys.platform} has no Landlock"
    calls = on_linux and platform.machine() in _MACHINES
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    return (
        Wall(name="environment", stands=True, detail="harmless variables, and those that guest_environment names"),
        Wall(
            name="files", stands=version >= 1,
            detail=f"Landlock {version}: no home, no keys, no database" if version else without,
        ),
        Wall(
            name="signals", stands=version >= 6,
            detail="Landlock: to its own processes only" if version >= 6 else f"Landlock 6 needed, here is {version}",
        ),
        Wall(
            name="calls", stands=calls,
            detail=f"seccomp: {len(_DENIED)} calls refused" if calls else f"no list of calls for {platform.machine()}",
        ),
        Wall(
            name="memory", stands=on_linux and (version >= 1 or not is_root or bool(user)),
            detail="neither memory nor environment of the server and its workers can be read"
            if on_linux else f"{sys.platform} has no such mark",
        ),
        Wall(
            name="user", stands=bool(user) and is_root,
            detail=f"runs as {user}" if user and is_root
            else "only root can start another user" if user else "the same user: setting guest_user names another",
        ),
    )  # fmt: skip


def hide_memory() -> None:
    """Keep processes of the same user out of this one's memory, environment and descriptors (Linux)."""
    if sys.platform == "linux":
        _libc().prctl(_DUMPABLE, 0, 0, 0, 0)


def enter(rules: Rules) -> None:
    """Put this process, and all that it will start, behind the walls that this machine has. There is no way back."""
    if rules.user is not None:
        user, group = rules.user
        os.setgroups([])
        os.setresgid(group, group, group)
        os.setresuid(user, user, user)
    if sys.platform != "linux":
        return
    libc = _libc()
    _drop_capabilities(libc)
    _check(libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0), "no new privileges")
    if version := _landlock():
        _restrict_files(libc, rules, version)
    if platform.machine() in _MACHINES:
        _restrict_calls(libc)


def open_to(folder: Path, hidden: Iterable[Path]) -> Iterator[Path]:
    """Yield what together makes up a folder without what is hidden in it: itself, or entries as deep as need be."""
    hidden = [path for path in hidden if path == folder or path.is_relative_to(folder) or folder.is_relative_to(path)]
    if not hidden:
        yield folder
    elif not any(folder.is_relative_to(path) for path in hidden):
        with contextlib.suppress(OSError):
            for entry in sorted(folder.iterdir()):
                # A link is no place of its own: where it leads to is open or not by itself.
                if not entry.is_symlink():
                    yield from open_to(entry, hidden)


def _landlock() -> int:
    """Return the version of Landlock that the kernel offers; 0: none."""
    if sys.platform != "linux":
        return 0
    return max(0, int(_libc().syscall(_CREATE_RULES, None, ctypes.c_size_t(0), ctypes.c_uint32(1))))


def _restrict_files(libc: ctypes.CDLL, rules: Rules, version: int) -> None:
    handled = _FIRST
    handled |= _REFER if version >= 2 else 0
    handled |= _TRUNCATE if version >= 3 else 0
    handled |= _IOCTL if version >= 5 else 0
    # Later versions read more of it; each field that a kernel does not know must be left out.
    attributes = struct.pack("=QQQ", handled, 0, _SIGNALS)[: 24 if version >= 6 else 16 if version >= 4 else 8]
    ruleset = libc.syscall(_CREATE_RULES, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))
    _check(ruleset, "rules for files")
    reading = _READ_FILE | _READ_FOLDER | _EXECUTE
    for paths, allowed in (
        (rules.read, reading),
        (rules.write, reading | _CHANGE | _REFER | _TRUNCATE),
        (rules.devices, reading | _WRITE_FILE | _TRUNCATE | _IOCTL),
    ):
        for path in paths:
            _allow(libc, ruleset, path, allowed & handled)
    _check(libc.syscall(_RESTRICT, ruleset, ctypes.c_uint32(0)), "rules for files")
    os.close(ruleset)


def _allow(libc: ctypes.CDLL, ruleset: int, path: str, allowed: int) -> None:
    try:
        found = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what is not there, or out of reach, needs no door
    try:
        if not Path(f"/proc/self/fd/{found}").is_dir():
            allowed &= _READ_FILE | _WRITE_FILE | _EXECUTE | _TRUNCATE | _IOCTL
        rule = struct.pack("=Qi", allowed, found)
        _check(libc.syscall(_ADD_RULE, ruleset, ctypes.c_int(1), rule, ctypes.c_uint32(0)), "rules for files")
    finally:
        os.close(found)


def _restrict_calls(libc: ctypes.CDLL) -> None:
    """Refuse the calls of the list: a program of the kernel's own that looks at each call's number."""
    machine, column = _MACHINES[platform.machine()]
    load, equal, at_least, answer = 0x20, 0x15, 0x35, 0x06
    numbers = [both[column] for both in _DENIED.values()]
    program = [(load, 0, 0, 4), (equal, 1, 0, machine), (answer, 0, 0, _KILL), (load, 0, 0, 0)]
    # Numbers of the x32 interface name the same calls once more.
    program += [(at_least, len(numbers) + 1, 0, 0x40000000)]
    program += [(equal, len(numbers) - place, 0, number) for place, number in enumerate(numbers)]
    program += [(answer, 0, 0, _ALLOW), (answer, 0, 0, _ERRNO)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in program))
    head = ctypes.create_string_buffer(struct.pack("@HP", len(program), ctypes.addressof(code)))
    _check(libc.prctl(_SECCOMP, 2, ctypes.byref(head), 0, 0), "rules for calls")


def _drop_capabilities(libc: ctypes.CDLL) -> None:
    if os.geteuid():
        return
    for capability in range(64):
        if capability not in _KEPT_CAPABILITIES:
            libc.prctl(_DROP_CAPABILITY, capability, 0, 0, 0)  # fails beyond the last
    kept = sum(1 << capability for capability in _KEPT_CAPABILITIES)
    head = struct.pack("=Ii", 0x20080522, 0)
    _check(libc.capset(head, struct.pack("=IIIIII", kept, kept, 0, 0, 0, 0)), "capabilities")


def _check(result: int, what: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
