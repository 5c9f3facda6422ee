"""A node that runs the pods of rendered manifests: what the control plane and a kubelet do, as far as it concerns whether something starts and is found.

Each pod has its own network (a veth on a bridge), names are answered as cluster DNS does, services have an address with a proxy behind it, volumes are folders, and containers are
the image's root with the rights, mounts, environment and probes of the manifest (contain.py). It needs root. While it lasts, this process is in the node's own network namespace.
"""

import ctypes
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

from manifests import PROJECT, find, of_kind, pod_labels, selects
from names import Names
from waiting import wait_until

CLONE_NEWNET = 0x40000000
NODE = "10.244.0.1"
DOMAIN = "svc.cluster.local"
GRPCURL = PROJECT / ".deps" / "bin" / "grpcurl"
libc = ctypes.CDLL(None, use_errno=True)


def run(*words):
    subprocess.run([str(word) for word in words], check=True, stdout=subprocess.DEVNULL)


class Cluster:
    def __init__(self, things, image, folder):
        self.things, self.image, self.folder = things, image, Path(folder)
        self.namespace = "flashsale"
        self.pods, self.secrets, self.addresses = {}, {}, iter(range(10, 250))
        self.services, self.next_service = {}, iter(range(1, 250))
        self.config_maps = {thing["metadata"]["name"]: thing["data"] for thing in of_kind(things, "ConfigMap")}

    # ---- the node ----

    def __enter__(self):
        self.home = os.open("/proc/self/ns/net", os.O_RDONLY)
        if libc.unshare(CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "a network namespace of its own")
        # An address of its own: else a bridge has its lowest port's, another one whenever a pod comes or goes, and pods go on to send to the old one.
        for words in ("link set lo up", "link add node address 0a:58:0a:f4:00:01 type bridge", f"addr add {NODE}/16 dev node", "link set node up"):
            run("ip", *words.split())
        self.names = Names(NODE, self.resolve)
        for service in of_kind(self.things, "Service"):
            if service["spec"].get("clusterIP") != "None":
                self.services[service["metadata"]["name"]] = Proxy(self, service, f"10.244.1.{next(self.next_service)}")
        return self

    def __exit__(self, *_):
        for pod in list(self.pods.values()):
            pod.kill()
        for service in self.services.values():
            service.close()
        self.names.close()
        if libc.setns(self.home, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "back to this machine's network")
        os.close(self.home)

    def resolve(self, name):
        """Addresses of a name of the cluster, or None."""
        suffix = f".{self.namespace}.{DOMAIN}"
        if not name.endswith(suffix):
            return None
        words = name.removesuffix(suffix).split(".")
        service = find(self.things, "Service", words[-1])
        if not service or len(words) > 2:
            return None
        if words[-1] in self.services:
            return [self.services[words[-1]].address]
        return [pod.address for pod in self.behind(service) if len(words) == 1 or pod.name == words[0]] or None

    def behind(self, service):
        spec = service["spec"]
        return [pod for pod in list(self.pods.values()) if selects({"matchLabels": spec["selector"]}, pod.labels)
                and (pod.ready or spec.get("publishNotReadyAddresses"))]

    # ---- workloads ----

    def make(self, workload, ordinal=0):
        name = f"{workload['metadata']['name']}-{ordinal}"
        pod = Pod(self, workload, name, ordinal, f"10.244.0.{next(self.addresses)}")
        self.pods[name] = pod
        return pod

    def volume(self, pod, volume):
        """A folder with what the volume has; None: there is nothing, and that is fine."""
        at = self.folder / "volumes" / (volume["name"] if "claim" in volume else pod.name) / volume["name"]
        if "claim" in volume:
            at = self.folder / "claims" / f"{volume['name']}-{pod.name}"
        elif at.exists():
            shutil.rmtree(at)
        at.mkdir(parents=True, exist_ok=True)
        data, mode = self.data(volume)
        for key, value in data.items():
            (at / key).write_text(value)
            (at / key).chmod(mode)
            os.chown(at / key, 0, pod.fs_group)
        os.chown(at, 0, pod.fs_group)
        at.chmod(0o755 if "configMap" in volume or "secret" in volume else 0o2775)
        return at

    def data(self, volume):
        for kind, key, have in (("configMap", "name", self.config_maps), ("secret", "secretName", self.secrets)):
            if kind in volume:
                source = volume[kind]
                if source[key] not in have and not source.get("optional"):
                    raise AssertionError(f"there is no {kind} {source[key]}: the pod would wait for it")
                return have.get(source[key], {}), source.get("defaultMode", 0o644)
        return {}, 0o644


class Pod:
    def __init__(self, cluster, workload, name, ordinal, address):
        self.cluster, self.workload, self.name, self.address = cluster, workload, name, address
        self.spec = workload["spec"]["template"]["spec"]
        self.labels = pod_labels(workload) | {"apps.kubernetes.io/pod-index": str(ordinal)}
        self.security = self.spec["securityContext"]
        self.fs_group = self.security.get("fsGroup", 0)
        self.folder = cluster.folder / "pods" / name
        self.ready, self.process, self.first, self.started = False, None, None, []
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self.pause = subprocess.Popen(["unshare", "--net", "--uts", "--ipc", "--", "sleep", "infinity"])
        self.plug()
        claims = [{"name": claim["metadata"]["name"], "claim": True} for claim in workload["spec"].get("volumeClaimTemplates", [])]
        self.volumes = {volume["name"]: cluster.volume(self, volume) for volume in self.spec.get("volumes", []) + claims}
        (self.folder / "resolv.conf").write_text(
            f"nameserver {NODE}\nsearch {cluster.namespace}.{DOMAIN} {DOMAIN} cluster.local\noptions ndots:5\n")
        (self.folder / "hosts").write_text(f"127.0.0.1 localhost\n{address} {name}\n")

    def plug(self):
        mine = os.stat("/proc/self/ns/net").st_ino

        def is_apart():
            assert self.pause.poll() is None, "the pod's namespaces can't be made"
            return os.stat(f"/proc/{self.pause.pid}/ns/net").st_ino != mine and Path(f"/proc/{self.pause.pid}/comm").read_text() == "sleep\n"

        wait_until(is_apart, what="the pod has namespaces of its own")
        link = "v" + self.address.rpartition(".")[2]
        run("ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", self.pause.pid)
        run("ip", "link", "set", link, "master", "node", "up")
        for words in ("ip link set lo up", f"ip addr add {self.address}/16 dev eth0", "ip link set eth0 up", f"ip route add default via {NODE}",
                      f"hostname {self.name}"):
            run("nsenter", "-t", self.pause.pid, "-n", "-u", *words.split())

    # ---- containers ----

    def environment(self, container):
        found = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME": self.name}
        for source in container.get("envFrom", []):
            found |= self.cluster.config_maps[source["configMapRef"]["name"]]
        for entry in container.get("env", []):
            value = entry["value"] if "value" in entry else self.value_from(entry["valueFrom"])
            if value is not None:
                for name, known in found.items():
                    value = value.replace(f"$({name})", known)
                found[entry["name"]] = value
        return found

    def value_from(self, source):
        if "secretKeyRef" in source:
            key = source["secretKeyRef"]
            value = self.cluster.secrets.get(key["name"], {}).get(key["key"])
            assert value is not None or key.get("optional"), f"there is no secret {key}"
            return value
        path = source["fieldRef"]["fieldPath"]
        if path.startswith("metadata.labels['"):
            return self.labels[path[len("metadata.labels['"):-2]]
        return {"metadata.name": self.name, "status.podIP": self.address, "status.hostIP": NODE}[path]

    def contain(self, container):
        context = container["securityContext"]
        mounts = [{"source": str(self.folder / name), "target": f"/etc/{name}", "read_only": True} for name in ("resolv.conf", "hosts")]
        mounts += [{"source": str(self.volumes[m["name"]]), "target": m["mountPath"], "read_only": m.get("readOnly", False)}
                   for m in container.get("volumeMounts", [])]
        scratch = self.folder / f"{container['name']}-root"
        scratch.mkdir(exist_ok=True)
        config = self.cluster.image.config()
        written = self.folder / f"{container['name']}.json"
        written.write_text(json.dumps({
            "root": str(self.cluster.image.root), "scratch": str(scratch), "mounts": mounts, "read_only_root": context["readOnlyRootFilesystem"],
            "uid": self.security["runAsUser"], "gid": self.security["runAsGroup"], "groups": [self.fs_group] if self.fs_group else [],
            "environment": self.environment(container), "folder": config.get("WorkingDir") or "/",
            "command": container.get("command", config["Entrypoint"]) + container.get("args", config["Cmd"])}))
        process = subprocess.Popen(
            ["nsenter", "-t", str(self.pause.pid), "-n", "-u", "-i", "unshare", "--pid", "--mount", "--fork", "--kill-child",
             sys.executable, str(Path(__file__).with_name("contain.py")), str(written)],
            stdin=subprocess.DEVNULL, stdout=self.log(container["name"]), stderr=subprocess.STDOUT)
        self.started.append(process)
        return process

    def log(self, name):
        """A pipe that the container's user may open anew by /dev/stdout, as runtimes give; what comes out of it goes to the log."""
        out, end = os.pipe()
        os.fchown(end, self.security["runAsUser"], self.security["runAsGroup"])

        def copy():
            with open(self.log_file(name), "ab") as log, open(out, "rb", buffering=0) as pipe:
                while chunk := pipe.read(65536):
                    log.write(chunk)
                    log.flush()
        threading.Thread(target=copy, daemon=True).start()
        self.ends = getattr(self, "ends", []) + [end]
        return end

    def log_file(self, name="service"):
        return self.folder / f"{name}.log"

    def said(self, name="service"):
        return self.log_file(name).read_text() if self.log_file(name).exists() else ""

    def run_init(self):
        """The status of the first init container that fails, or 0."""
        for container in self.spec.get("initContainers", []):
            status = self.contain(container).wait(60)
            if status:
                return status
        return 0

    def start(self):
        """The pod's life up to its readiness, by its probes."""
        status = self.run_init()
        assert status == 0, f"{self.name}: init ended with {status}: {self.said('init')}"
        container, = self.spec["containers"]
        self.process = self.contain(container)
        self.first = self.first_process()
        self.wait_for(container["startupProbe"])
        return self

    def wait_ready(self):
        self.wait_for(self.spec["containers"][0]["readinessProbe"], within_s=60)
        self.ready = True
        return self

    def execute(self, *command, first=None):
        """As kubectl exec: with the rights, places and environment of the container's first process."""
        first = first or self.first
        environment = Path(f"/proc/{first}/environ").read_text().split("\0")[:-1]
        ids = [str(self.security[name]) for name in ("runAsUser", "runAsGroup")]
        return subprocess.run(["nsenter", "-t", str(first), "-m", "-u", "-i", "-n", "-p", "-r", "-w", "-S", ids[0], "-G", ids[1], "env", "-i",
                               *environment, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)

    def first_process(self, process=None):
        """Process 1 of the container, as it is called out here."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            pids = [(process or self.process).pid]
            while pids:
                pid = pids.pop()
                try:
                    pids += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
                    numbers = [line.split()[1:] for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("NSpid:")][0]
                except OSError:
                    continue
                if len(numbers) > 1 and numbers[-1] == "1":
                    return pid
            assert (process or self.process).poll() is None, f"{self.name} ended: {self.said()}"
            time.sleep(0.01)
        raise AssertionError(f"{self.name} did not start")

    # ---- probes ----

    def wait_for(self, probe, within_s=None):
        end = time.monotonic() + (within_s or probe["periodSeconds"] * probe["failureThreshold"])
        while (answer := self.probe(probe)) is not True:
            assert self.process.poll() is None, f"{self.name} ended with {self.process.returncode}: {self.said()[-3000:]}"
            assert time.monotonic() < end, f"{self.name}: {probe}: {answer}\n{self.said()[-3000:]}"
            time.sleep(0.2)

    def probe(self, probe):
        """True, or what came instead."""
        timeout = probe.get("timeoutSeconds", 1)
        if "grpc" in probe:
            answer = self.check_health("-plaintext", service=probe["grpc"].get("service", ""), port=probe["grpc"]["port"], timeout=timeout)
            return '"SERVING"' in answer.stdout or answer.stdout
        port = probe["httpGet"]["port"]
        try:
            with urllib.request.urlopen(f"http://{self.address}:{self.port(port)}{probe['httpGet']['path']}", timeout=timeout) as answer:
                return answer.status == 200
        except OSError as error:
            return str(error)

    def port(self, port):
        return port if isinstance(port, int) else {p["name"]: p["containerPort"] for p in self.spec["containers"][0]["ports"]}[port]

    def check_health(self, *security, service="", port="grpc", timeout=5):
        """grpc.health.v1.Health/Check by the library that the kubelet has, Go's. As a program: the threads of a library in here would stay in the first network that they saw."""
        words = (GRPCURL, *security, "-connect-timeout", timeout, "-max-time", timeout, "-d", json.dumps({"service": service}), f"{self.address}:{self.port(port)}",
                 "grpc.health.v1.Health/Check")
        return subprocess.run([str(word) for word in words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    # ---- its end ----

    def end(self):
        """As the kubelet ends it; returns the exit status."""
        self.ready = False
        time.sleep(self.spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"])
        os.kill(self.first, signal.SIGTERM)
        try:
            return self.process.wait(self.spec["terminationGracePeriodSeconds"])
        finally:
            self.kill()

    def kill(self):
        self.ready = False
        for process in (*self.started, self.pause):
            if process.poll() is None:
                process.kill()
                process.wait()
        for end in getattr(self, "ends", []):
            os.close(end)
        self.ends = []
        self.cluster.pods.pop(self.name, None)

    def connections(self):
        """(peer's address, port of the peer) of connections that this pod has opened."""
        mine = {self.port(p["name"]) for p in self.spec["containers"][0].get("ports", [])}
        lines = [line for table in ("tcp", "tcp6") for line in Path(f"/proc/{self.pause.pid}/net/{table}").read_text().splitlines()[1:]]
        for line in lines:
            local, remote, state = line.split()[1:4]
            if state == "01" and int(local.partition(":")[2], 16) not in mine:
                address, port = remote.split(":")
                yield socket.inet_ntoa(bytes.fromhex(address[-8:])[::-1]), int(port, 16)  # gRPC's are IPv4 inside of IPv6


class Proxy:
    """A service's address: each connection goes to one of the ready pods."""

    def __init__(self, cluster, service, address):
        self.cluster, self.service, self.address = cluster, service, address
        run("ip", "addr", "add", f"{address}/32", "dev", "node")
        self.listeners, self.threads = [], []
        for port in service["spec"]["ports"]:
            listener = socket.create_server((address, port["port"]))
            self.listeners.append(listener)
            self.threads.append(threading.Thread(target=self.serve, args=(listener, port["targetPort"]), daemon=True))
            self.threads[-1].start()

    def serve(self, listener, target):
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            pods = self.cluster.behind(self.service)
            try:
                pod = random.choice(pods)
                server = socket.create_connection((pod.address, pod.port(target)), 5)
                server.settimeout(None)
            except (IndexError, OSError) as why:
                states = {pod.name: pod.ready for pod in self.cluster.pods.values()}
                print(f"{self.service['metadata']['name']} in {self.cluster.folder}: {why!r}, pods and whether they are ready: {states}")
                client.close()
                continue
            for one, other in ((client, server), (server, client)):
                threading.Thread(target=pump, args=(one, other), daemon=True).start()

    def close(self):
        for listener in self.listeners:
            listener.shutdown(socket.SHUT_RDWR)  # ends the accept() that waits; a mere close() would not
        for thread in self.threads:
            thread.join()
        for listener in self.listeners:
            listener.close()


def pump(source, target):
    try:
        while chunk := source.recv(65536):
            target.sendall(chunk)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        target.close()
