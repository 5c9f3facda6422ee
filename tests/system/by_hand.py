"""Services and gatekeepers started by hand, beside or instead of an installation's."""

import configparser
import json
import os
import re
import shlex
import signal
import subprocess

import requests
from flashsale_client import PRESET, PROJECT, SANITIZER_WORDS, free_port


class Service:
    """flashsale-NAME with the flags given and a store of its own, or the one given, or none (False); ended by end()."""
    gracefully = signal.SIGTERM

    def __init__(self, folder, name, *flags, store=None):
        self.name, self.port = name, free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.log = folder / f"{name}-{self.port}.log"
        self.program = PROJECT / "build" / PRESET / "bin" / f"flashsale-{name}"
        self.words = [self.program, "--listen", self.address, "--admin", f"127.0.0.1:{self.port + 10}", *flags]
        if store is not False:
            store = store or folder / f"{name}-{self.port}"
            if not store.exists():
                subprocess.run([self.program, "init", "--store", store], check=True, stdout=subprocess.DEVNULL)
            self.words += ["--store", store]
        self.process = None

    def start(self):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("FLASHSALE_CFG_")}
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([str(word) for word in self.words], stdout=log, stderr=log, env=environment)
        return self

    def end(self, kill=False):
        """Its exit status."""
        if not self.process:
            return None
        self.process.send_signal(signal.SIGKILL if kill else self.gracefully)
        status = self.process.wait(timeout=60)
        self.process = None
        return status

    def health(self):
        try:
            return requests.get(f"http://127.0.0.1:{self.port + 10}/healthz", timeout=5).status_code
        except requests.ConnectionError:
            return None

    def said(self):
        """The lines of its log."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]

    def has_said(self, message):
        return any(line["message"] == message for line in self.said())

    def sanitizer_reports(self):
        return [line for line in self.log.read_text().splitlines() if any(word in line for word in SANITIZER_WORDS)]


class Gatekeeper(Service):
    """Another one for an installation: its configuration and program, on ports of its own."""
    gracefully = signal.SIGQUIT

    def __init__(self, folder, sale):
        self.name, self.port = "gatekeeper", free_port()
        self.address, self.base = f"127.0.0.1:{self.port}", f"http://127.0.0.1:{self.port}"
        self.run = folder / f"gatekeeper-{self.port}"
        self.run.mkdir()
        self.log, self.configuration = self.run / "gatekeeper.log", self.run / "nginx.conf"
        theirs = configparser.ConfigParser(interpolation=None)
        theirs.read(sale.home / "etc" / "supervisord.conf")
        theirs = {name: value.replace("%%", "%") for name, value in theirs["program:gatekeeper"].items()}
        self.configuration.write_text(self._moved((sale.home / "etc" / "nginx.conf").read_text(), sale))
        self.words = shlex.split(self._moved(theirs["command"], sale))
        self.variables = dict(re.findall(r'(\w+)="([^"]*)"', theirs["environment"]))
        self.process = None

    def _moved(self, text, sale):
        for old, new in ((sale.home / "run" / "gatekeeper", self.run), (sale.home / "etc" / "nginx.conf", self.configuration),
                         (sale.home / "log" / "gatekeeper.log", self.log), (sale.home / "log" / "access.log", self.run / "access.log"),
                         (f"127.0.0.1:{sale.port + 10};", f"127.0.0.1:{self.port + 10};"), (f"127.0.0.1:{sale.port} ", f"127.0.0.1:{self.port} ")):
            text = text.replace(str(old), str(new))
        return text

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.words, stdout=log, stderr=log, cwd=self.run, env=os.environ | self.variables)
        return self

    def refusal(self, *directives):
        """Why it does not start with these in its configuration; None: it would."""
        text = self.configuration.read_text()
        self.configuration.write_text(text.replace("http {", "\n    ".join(["http {", *directives]), 1))
        result = subprocess.run([*self.words, "-t"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | self.variables, timeout=60)
        self.configuration.write_text(text)
        return (result.stdout + self.log.read_text()) if result.returncode else None
