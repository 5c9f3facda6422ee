"""A real API server looks at the manifests, as a cluster's would: Pod Security included. By --full only: building it takes minutes."""

import copy
import shutil
import socket
import subprocess
import time

import pytest
import yaml
from manifests import OVERLAYS, PROJECT, of_kind, pod_labels, pod_spec, render, workloads

BIN = PROJECT / ".deps" / "bin"
TOKEN = "admin-of-a-test"
NOT_KUBERNETES_OWN = ("PodMonitor", "PrometheusRule")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class Server:
    def __init__(self, folder):
        self.folder = folder
        etcd, peer, self.port = free_port(), free_port(), free_port()
        (folder / "tokens").write_text(f"{TOKEN},admin,admin,system:masters\n")
        self.log = open(folder / "log", "w")
        self.etcd = self.spawn(shutil.which("etcd", path="/usr/bin:/usr/sbin:/usr/local/bin"), "--data-dir", folder / "etcd", "--listen-client-urls", f"http://127.0.0.1:{etcd}",
                               "--advertise-client-urls", f"http://127.0.0.1:{etcd}", "--listen-peer-urls", f"http://127.0.0.1:{peer}")
        subprocess.run(["openssl", "genrsa", "-out", str(folder / "key"), "2048"], check=True, stderr=subprocess.DEVNULL)
        self.api = self.spawn(BIN / "kube-apiserver", "--etcd-servers", f"http://127.0.0.1:{etcd}", "--secure-port", self.port, "--bind-address", "127.0.0.1",
                              "--cert-dir", folder / "certificates", "--token-auth-file", folder / "tokens", "--authorization-mode", "RBAC",
                              "--service-account-issuer", "https://cluster", "--service-account-key-file", folder / "key",
                              "--service-account-signing-key-file", folder / "key", "--service-cluster-ip-range", "10.96.0.0/16",
                              "--disable-admission-plugins", "ServiceAccount")

    def spawn(self, *words):
        return subprocess.Popen(["nice", *map(str, words)], stdout=self.log, stderr=self.log)

    def kubectl(self, *words, things=None):
        return subprocess.run(
            [str(BIN / "kubectl"), "--server", f"https://127.0.0.1:{self.port}", "--insecure-skip-tls-verify", "--token", TOKEN,
             "--kubeconfig", "/dev/null", "--cache-dir", str(self.folder / "cache"), *words],
            input=yaml.safe_dump_all(things) if things else None, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def apply(self, things, *words):
        return self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", *words, things=things)

    def wait_ready(self):
        end = time.monotonic() + 120
        while self.kubectl("get", "--raw", "/readyz").returncode or self.kubectl("get", "namespace", "kube-system").returncode:
            assert time.monotonic() < end and self.api.poll() is None, (self.folder / "log").read_text()[-3000:]
            time.sleep(0.5)
        return self

    def close(self):
        for process in (self.api, self.etcd):
            process.terminate()
            process.wait(30)
        self.log.close()


@pytest.fixture(scope="module")
def server(request, tmp_path_factory):
    if not request.config.getoption("--full"):
        pytest.skip("only with --full: ./flashsale test kubernetes --full")
    made = Server(tmp_path_factory.mktemp("server"))
    try:
        made.wait_ready()
        answer = made.apply(of_kind(render("dev"), "Namespace"))
        assert answer.returncode == 0, answer.stdout
        yield made
    finally:
        made.close()


def known(things):
    return [thing for thing in things if thing["kind"] not in (*NOT_KUBERNETES_OWN, "Namespace")]


def pods(things):
    """What the controllers would make of the workloads."""
    return [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": workload["metadata"]["name"], "namespace": "flashsale", "labels": pod_labels(workload)},
             "spec": with_claims(workload)} for workload in workloads(things)]


def with_claims(workload):
    spec = copy.deepcopy(pod_spec(workload))
    for claim in workload["spec"].get("volumeClaimTemplates", []):
        name = claim["metadata"]["name"]
        spec.setdefault("volumes", []).append({"name": name, "persistentVolumeClaim": {"claimName": name}})
    return spec


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_server_takes_all_of_it(server, overlay):
    things = known(render(overlay))
    answer = server.apply(things, "--dry-run=server")
    assert answer.returncode == 0 and "Warning" not in answer.stdout, answer.stdout
    assert answer.stdout.count("serverside-applied (server dry run)") == len(things)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_pods_are_admitted_under_restricted(server, overlay):
    answer = server.apply(pods(render(overlay)), "--dry-run=server")
    assert answer.returncode == 0 and "Warning" not in answer.stdout, answer.stdout


def test_a_pod_that_is_not_restricted_is_refused(server):
    pod = pods(render("prod"))[0]
    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    answer = server.apply([pod], "--dry-run=server")
    assert answer.returncode and 'violates PodSecurity "restricted:latest"' in answer.stdout, answer.stdout


def test_an_unknown_field_is_refused(server):
    things = known(render("dev"))
    of_kind(things, "StatefulSet")[0]["spec"]["replica"] = 1
    answer = server.apply(things, "--dry-run=server")
    assert answer.returncode and ".spec.replica" in answer.stdout, answer.stdout


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_next_version_can_be_applied(server, overlay):
    """Nothing that changes with a version, or with a setting, is in a field that can't change."""
    things = known(render(overlay))
    answer = server.apply(things)
    assert answer.returncode == 0, answer.stdout
    text = yaml.safe_dump_all(things).replace("1.0.0", "1.0.1")
    things = list(yaml.safe_load_all(text))
    for workload in of_kind(things, "StatefulSet"):
        pod_spec(workload)["containers"][0]["env"].append({"name": "FLASHSALE_CFG_LOG_LEVEL", "value": "debug"})
    jobs = of_kind(things, "Job")
    assert server.kubectl("-n", "flashsale", "delete", "--all", "jobs", "--cascade=background").returncode == 0
    answer = server.apply(things)
    assert answer.returncode == 0, answer.stdout
    server.kubectl("-n", "flashsale", "delete", "--all", "statefulset,deployment,job,service,configmap,pdb,hpa,networkpolicy")
    assert len(jobs) == (overlay == "dev")
