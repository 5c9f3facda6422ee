"""What runs: the installation's supervisord and the processes below it."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import xmlrpc.client
from pathlib import Path

from supervisor.xmlrpc import SupervisorTransport

from .layout import HOST

# What a shell that runs us may have set must not reach the services: an unknown setting stops them.
SETTINGS_PREFIX = "FLASHSALE_CFG_"


class Supervisor:
    def __init__(self, home):
        self.home = home

    @property
    def rpc(self):
        """A connection for one call: a transport that once failed to connect stays unusable."""
        transport = SupervisorTransport(None, None, f"unix://{self.home.socket}")
        return xmlrpc.client.ServerProxy("http://supervisor", transport=transport).supervisor

    def is_running(self):
        try:
            return self.rpc.getState()["statename"] == "RUNNING"
        except (OSError, http.client.HTTPException, xmlrpc.client.Error):
            return False

    def start(self):
        """Starts supervisord, which starts every service."""
        unwanted = (SETTINGS_PREFIX, "CONSUL_") if self.home.settings.consul else (SETTINGS_PREFIX,)
        environment = {k: v for k, v in os.environ.items() if not k.startswith(unwanted)}
        configuration = self.home.etc / "supervisord.conf"
        subprocess.run(["/usr/bin/supervisord", "-c", str(configuration)], check=True, env=environment, close_fds=True)
        if not wait_until(self.is_running, 10):
            raise RuntimeError(f"supervisord did not answer within 10 s; see {self.home.log}/supervisord.log")

    def processes(self):
        """name -> what supervisord knows of the service; nothing when it does not run."""
        if not self.is_running():
            return {}
        return {info["name"]: info for info in self.rpc.getAllProcessInfo()}

    def start_missing(self):
        """Starts what someone stopped; returns the names."""
        started = []
        for name, info in self.processes().items():
            if info["statename"] in ("STOPPED", "EXITED", "FATAL"):
                self.rpc.startProcess(name, False)
                started.append(name)
        return started

    def stop(self, name):
        self.rpc.stopProcess(name)

    def shutdown(self, seconds):
        """Stops all services in their order, then supervisord; returns whether it ended in time."""
        pid = self.rpc.getPID()
        self.rpc.shutdown()

        def has_ended():
            self.is_running()  # left alone, supervisord looks at its children once a second; a call wakes it
            return not is_alive(pid)

        return wait_until(has_ended, seconds)


def stray_processes(home):
    """Processes of this installation that no supervisord looks after, as when it was killed: ours, by program and working folder."""
    folders = {str(home.run / name) for name in [service.name for service in home.services()] + ["consul"]} | {str(home.path)}
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            program = os.path.basename(os.readlink(entry / "exe")).removesuffix(" (deleted)")
            folder = os.readlink(entry / "cwd")
            words = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        is_service = program in ("nginx", "consul") or program.startswith("flashsale-")
        is_supervisord = str(home.etc / "supervisord.conf").encode() in words.split(b"\0") and b"supervisord" in words
        if folder in folders and (is_service or is_supervisord):
            found.append(int(entry.name))
    return found


def end_processes(pids, seconds):
    """TERM, a while to obey, then KILL."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        pids = [pid for pid in pids if is_alive(pid)]
        for pid in pids:
            try:
                os.kill(pid, sign)
            except ProcessLookupError:
                pass
        wait_until(lambda: not any(is_alive(pid) for pid in pids), seconds)


def is_alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def children(pid):
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def is_healthy(url):
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return answer.status == 200
    except (OSError, http.client.HTTPException):
        return False


def is_port_free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def wait_until(condition, seconds, pause=0.05):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(pause)
    return True


def tail(path, lines=15):
    try:
        with open(path, "rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 16384))
            return log.read().decode(errors="replace").splitlines()[-lines:]
    except OSError:
        return []


def complain(text):
    print(f"flashsale: {text}", file=sys.stderr)
