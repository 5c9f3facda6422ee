"""contain.py FILE: becomes one container, as a container runtime would start it. It is the first process of its pid and mount namespaces, in its pod's network.

FILE is JSON: root (the image's, shared and never written), scratch (an empty folder), mounts [{source, target, read_only}], read_only_root, uid, gid, groups,
environment, folder, command. What it leaves out of a runtime's work: seccomp and cgroups.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

PR_SET_PDEATHSIG, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 24, 38
CAPABILITIES = 64  # more than there are: dropping one that is not there is an error we don't mind
DEVICES = ("null", "zero", "full", "random", "urandom")


def mount(*words):
    subprocess.run(["mount", *map(str, words)], check=True)


def make_root(container):
    """The image below, a layer of the container's own above: mount points are made there, as runtimes do."""
    scratch = Path(container["scratch"])
    mount("--make-rprivate", "/")
    mount("-t", "tmpfs", "tmpfs", scratch)
    for name in ("upper", "work", "root"):
        (scratch / name).mkdir()
    root = scratch / "root"
    mount("-t", "overlay", "overlay", "-o", f"lowerdir={container['root']},upperdir={scratch}/upper,workdir={scratch}/work", root)
    mount("-t", "proc", "proc", root / "proc")
    mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", root / "dev")
    for name in DEVICES:
        (root / "dev" / name).touch()
        mount("--bind", f"/dev/{name}", root / "dev" / name)
    for name, to in (("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"), ("stderr", "/proc/self/fd/2")):
        (root / "dev" / name).symlink_to(to)
    for bind in container["mounts"]:
        target = root / bind["target"].lstrip("/")
        if Path(bind["source"]).is_dir():
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.touch()
        mount("--bind", bind["source"], target)
        if bind["read_only"]:
            mount("-o", "remount,bind,ro", target)
    if container["read_only_root"]:
        mount("-o", "remount,ro", root)
    return root


def give_up_privileges(container):
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in range(CAPABILITIES):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    os.setgroups(container["groups"])
    os.setresgid(container["gid"], container["gid"], container["gid"])
    os.setresuid(container["uid"], container["uid"], container["uid"])
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_NO_NEW_PRIVS")
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # unshare has set it, and another user's process has it no more


def main(path):
    container = json.loads(Path(path).read_text())
    os.chroot(make_root(container))
    os.chdir(container["folder"])
    give_up_privileges(container)
    os.execve(container["command"][0], container["command"], container["environment"])


if __name__ == "__main__":
    main(sys.argv[1])
