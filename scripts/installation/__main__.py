"""up, down and status of one installation."""

import argparse
import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager

from . import certificates, demo
from .layout import PROJECT, PROTECTORS_MAX, SERVICES, SHARDS_MAX, SOCKET_PATH_MAX, Home, Settings
from .supervisor import (Supervisor, children, complain, end_processes, is_healthy, is_port_free, stray_processes, tail,
                         wait_until)

HEALTHY_WITHIN_S = 60   # sanitizer builds on a busy machine take their time
EARLY_EXITS_MAX = 3     # a service that keeps dying right after its start is not waited for
DOWN_WITHIN_S = 120


class Failure(Exception):
    """Ends the command with this text."""


def up(arguments):
    home = Home(arguments.home)
    if len(os.fsencode(home.socket)) > SOCKET_PATH_MAX:
        raise Failure(f"--home {home.path}: this path is too long for a unix socket inside it; choose a shorter one")
    if unfit := home.unfit():
        raise Failure(f"the path {unfit[0]} has the character {unfit[1]!r}, which nginx or supervisord would misread; choose another")
    make_home(home.path)
    with locked(home):
        supervisor = Supervisor(home)
        was_running = supervisor.is_running()
        home.settings = settle(home, arguments, was_running)
        if home.settings.tls:
            certificates.provide(home.tls, [service.name for service in SERVICES] + ["operator"])
        started = supervisor.start_missing() if was_running else start(home, supervisor)
        failed = wait_healthy(home, supervisor)
        if failed:
            undo(home, supervisor, was_running, started)
            raise Failure(failure_text(home, failed))
        if not arguments.no_demo:
            demo.open_sale(home)
    print(demo.hints(home))


def make_home(path):
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise Failure(f"--home {path}: {error.filename} is a file and no folder; choose another home") from error
    except OSError as error:
        raise Failure(f"--home {path} can't be made: {error.strerror}") from error


def settle(home, arguments, was_running):
    """The settings to run with: of a running home its own, and what is asked for must not differ; else what is asked for."""
    asked = {"port": arguments.port, "discovery": arguments.discovery, "hold_ttl": arguments.hold_ttl, "extra": arguments.set, "preset": arguments.preset,
             "tls": arguments.tls, "inventory_shards": arguments.inventory_shards, "cart_shards": arguments.cart_shards,
             "protectors": arguments.protectors}
    asked = {name: value for name, value in asked.items() if value}
    if not was_running:
        return settle_discovery(Settings(**(asked | settle_shards(home, asked))), arguments.discovery)
    home.load_settings()
    for name, value in asked.items():
        running = getattr(home.settings, name)
        if running != value:
            raise Failure(f"this home runs already with {name.replace('_', '-')} {running or 'by default'}, not {value}; "
                          f"./flashsale down --home {home.path} first")
    return home.settings


def settle_shards(home, asked):
    """As many as there are stores. Another number would make empty ones beside them, and look for goods and people where they are not."""
    counts = {}
    for name in ("inventory", "cart"):
        there, wanted = home.shards_stored(name), asked.get(f"{name}_shards", 0)
        if there and wanted and wanted != there:
            raise Failure(f"this home has the stores of {there} shard{'s' * (there > 1)} of {name}, not of {wanted}; "
                          f"docs/operations.md, \"Change the number of shards\", tells how that is done")
        counts[f"{name}_shards"] = there or wanted or 1
    return counts | {"protectors": settle_protectors(home, asked.get("protectors", 0))}


def settle_protectors(home, wanted):
    """More can come at any time. With fewer the bans of those that are left out would not count, and nobody would say so."""
    there = home.shards_stored("protector")
    if there and wanted and wanted < there:
        raise Failure(f"this home has the stores of {there} protectors, not of {wanted}: the bans in the others would not count. "
                      f"docs/operations.md, \"Several protectors\", tells how to do with fewer")
    return max(there, wanted, 1)


def settle_discovery(settings, asked):
    """Consul when it is asked for, or when it is plainly there; an agent of our own when nobody says where one is."""
    elsewhere = os.environ.get("CONSUL_HTTP_ADDR")
    installed = shutil.which("consul")
    settings.discovery = asked or ("consul" if elsewhere or installed else "static")
    if settings.discovery != "consul" or elsewhere:
        return settings
    built = PROJECT / ".deps" / "bin" / "consul"
    settings.consul = installed or (str(built) if built.exists() else "")
    if not settings.consul:
        raise Failure("--discovery consul: CONSUL_HTTP_ADDR is not set, and there is no program consul to start an agent with. "
                      "Set the one, install the other, or use --discovery static")
    return settings


def start(home, supervisor):
    strays = stray_processes(home)
    if strays:
        complain(f"ending processes of this home that lost their supervisor: {strays}")
        end_processes(strays, 20)
    check_settings(home)
    check_ports(home)
    home.make_folders()
    for service in home.services():
        if service.has_store:
            make_store(home, service)
    home.write_configuration()
    home.save_settings()
    supervisor.start()
    return [service.name for service in home.services()]


def check_settings(home):
    names = [service.name for service in SERVICES]
    for setting in home.settings.extra:
        owner, dot, rest = setting.partition(".")
        if owner not in names or not dot or "=" not in rest:
            raise Failure(f"--set {setting}: write SERVICE.NAME=VALUE, with a service out of {', '.join(names)}")
        if (owner, rest.split("=")[0]) == ("gatekeeper", "access-log") and rest not in ("access-log=on", "access-log=off"):
            raise Failure(f"--set {setting}: expected on or off")


def check_ports(home):
    ports = sorted([port for service in home.services() for port in (home.port(service), home.admin_port(service))] + home.consul_ports())
    taken = ", ".join(str(port) for port in ports if not is_port_free(port))
    if taken:
        raise Failure(f"these ports are in use by another program: {taken}; nothing was started. Choose others with --port")


def make_store(home, service):
    """Runs the service's `init` once: beside its place first, so that a store that is there is whole."""
    store = home.store(service)
    if store.exists():
        return
    store.parent.mkdir(parents=True, exist_ok=True)
    result = subprocess.run(home.init_command(service), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if result.returncode:
        shutil.rmtree(store, ignore_errors=True)
        raise Failure(f"{service.name}: init ended with {result.returncode}\n{result.stdout.rstrip()}")


def wait_healthy(home, supervisor):
    """Waits for all; returns the services that are not healthy in time, or that keep dying."""
    waiting, dying = home.services(), {}
    end = time.monotonic() + HEALTHY_WITHIN_S
    while waiting and time.monotonic() < end:
        waiting = [service for service in waiting if not is_healthy(home.health_url(service))]
        if not waiting:
            break
        processes = supervisor.processes()
        for service in waiting:
            info = processes.get(service.name, {"statename": "FATAL", "stop": 0})
            if info["statename"] in ("BACKOFF", "FATAL", "EXITED"):
                dying.setdefault(service, set()).add(info["stop"])
                if len(dying[service]) >= EARLY_EXITS_MAX or info["statename"] == "FATAL":
                    return [service]
        time.sleep(0.1)
    return waiting


def failure_text(home, failed):
    lines = []
    for service in failed:
        lines.append(f"{service.name} did not become healthy; the last lines of {home.log_file(service)}:")
        lines += [f"    {line}" for line in tail(home.log_file(service)) or ["(nothing)"]]
    return "\n".join(lines)


def undo(home, supervisor, was_running, started):
    if not was_running:
        stop_all(home, supervisor)
        return
    for name in started:
        supervisor.stop(name)


def stop_all(home, supervisor):
    if supervisor.is_running():
        supervisor.shutdown(DOWN_WITHIN_S)
    end_processes(stray_processes(home), 20)


def down(arguments):
    home = Home(arguments.home)
    home.load_settings()
    supervisor = Supervisor(home)
    with locked(home):
        if not supervisor.is_running() and not stray_processes(home):
            print("down: nothing runs")
            return
        stop_all(home, supervisor)
        if stray_processes(home):
            raise Failure(f"these processes did not end: {stray_processes(home)}")
        print("down: all services have ended")


def status(arguments):
    home = Home(arguments.home)
    home.load_settings()
    processes = Supervisor(home).processes()
    lost = {} if processes else unsupervised(home)
    services = [describe(home, service, processes.get(service.name) or lost.get(service.name))
                for service in home.services()]
    services.sort(key=lambda service: service["port"])
    if arguments.json:
        print(json.dumps({"home": str(home.path), "services": services}, indent=1))
    else:
        print(f"{'SERVICE':12} {'PORT':>5} {'ADMIN':>5} {'PID':>8}  HEALTH")
        for service in services:
            print(f"{service['name']:12} {service['port']:>5} {service['admin_port']:>5} {service['pid'] or '-':>8}  {service['health']}")
        if lost:
            print("nobody would start these again, supervisord of this home was killed: ./flashsale up ends them and starts all anew")
    return 0 if all(service["health"] == "healthy" for service in services) else 1


def describe(home, service, info):
    pid = info["pid"] if info and info["pid"] else None
    health = "down"
    if pid:
        health = "healthy" if is_healthy(home.health_url(service)) else "unhealthy"
        if info["statename"] == "UNSUPERVISED" and health == "healthy":
            health = "unsupervised"
    return {
        "name": service.name, "shard": service.shard, "shards": service.shards, "port": home.port(service), "admin_port": home.admin_port(service), "pid": pid, "health": health,
        "state": info["statename"] if info else "STOPPED", "workers": children(pid) if pid and service.name == "gatekeeper" else [],
        "log": str(home.log_file(service)),
    }


def unsupervised(home):
    """name -> what would be supervisord's to say, of services that run on without it."""
    names = {str(home.run / service.name): service.name for service in home.services()}
    found = {}
    for pid in sorted(stray_processes(home)):  # a master before its workers
        try:
            name = names.get(os.readlink(f"/proc/{pid}/cwd"))
        except OSError:
            continue  # ended just now
        if name:
            found.setdefault(name, {"pid": pid, "statename": "UNSUPERVISED"})
    return found


@contextmanager
def locked(home):
    """One up or down of a home at a time."""
    with open(home.path / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def main():
    parser = argparse.ArgumentParser(prog="flashsale", allow_abbrev=False)
    commands = parser.add_subparsers(required=True)
    for run in (up, down, status):
        command = commands.add_parser(run.__name__, allow_abbrev=False)
        command.set_defaults(run=run)
        command.add_argument("--home", required=True)
        if run is up:
            command.add_argument("--preset")
            command.add_argument("--port", type=int)
            command.add_argument("--discovery", choices=("static", "consul"))
            command.add_argument("--hold-ttl")
            command.add_argument("--inventory-shards", type=int, choices=range(1, SHARDS_MAX + 1))
            command.add_argument("--cart-shards", type=int, choices=range(1, SHARDS_MAX + 1))
            command.add_argument("--protectors", type=int, choices=range(1, PROTECTORS_MAX + 1))
            command.add_argument("--set", action="append", default=[])
            command.add_argument("--tls", action="store_true")
            command.add_argument("--no-demo", action="store_true")
        if run is status:
            command.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    try:
        result = arguments.run(arguments) or 0
        sys.stdout.flush()
        return result
    except BrokenPipeError:  # `up | head`: who read has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (Failure, demo.Failure, OSError, RuntimeError, subprocess.SubprocessError) as failure:
        complain(failure)
        return 1


if __name__ == "__main__":
    sys.exit(main())
