"""A shop on a node: pods in the worst order, secrets, and shoppers who come through the gatekeeper's service."""

import json
import subprocess
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

from manifests import find, of_kind

from issuer import Issuer  # isort: skip  manifests has named its folder

SERVICES = ("gatekeeper", "cart", "policy", "protector", "inventory")
ORDER = ("policy-replica", *SERVICES)


def workload(cluster, service):
    """None: this overlay has none of it."""
    return next((found for kind in ("Deployment", "StatefulSet") if (found := find(cluster.things, kind, f"flashsale-{service}"))), None)


def start(cluster, service, ordinal=0):
    return cluster.make(workload(cluster, service), ordinal).start()


def start_all(cluster):
    """As many of each as the manifest says, all at once; the autoscaler's minimum is 1 here."""
    pods = [(service, ordinal) for service in ORDER if workload(cluster, service) for ordinal in range(workload(cluster, service)["spec"].get("replicas", 1))]
    with ThreadPoolExecutor(len(pods)) as pool:
        list(pool.map(lambda pod: start(cluster, *pod).wait_ready(), pods))


def all_end_with_0(cluster):
    pods = list(cluster.pods.values())
    with ThreadPoolExecutor(len(pods)) as pool:
        ends = list(pool.map(lambda pod: pod.end(), pods))
    assert ends == [0] * len(pods), "\n".join(f"{pod.name}: {pod.said()[-2000:]}" for pod in pods)


def ask(cluster, path, body=None, headers=None, method=None):
    url = f"http://{cluster.services['flashsale-gatekeeper'].address}:80{path}"
    request = urllib.request.Request(url, json.dumps(body).encode() if body else None, {"Content-Type": "application/json"} | (headers or {}), method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def buy(cluster, user, sku="SKU0002", headers=None, within_s=30):
    """Once it is answered with more than 503 or 504."""
    end = time.monotonic() + within_s
    headers = (headers or {}) | {"Idempotency-Key": f"key-{user}"}
    who = {} if "Authorization" in headers else {"userID": user, "userLevel": 1}
    while True:
        status, answer = ask(cluster, "/v1/buy", who | {"goodsSKU": sku, "goodsQuantity": 1}, headers)
        if status not in (503, 504) or time.monotonic() > end:
            return status, answer
        time.sleep(0.2)


def give_secrets(cluster, folder):
    """What docs/kubernetes.md asks for: certificates of one authority, an issuer's public key and the key of challenges. Returns the issuer."""
    def openssl(*words):
        subprocess.run(["openssl", *words], cwd=folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *curve, "-days", "2", "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.crt")
    for service in SERVICES:
        name = f"{service}.flashsale.internal"
        (folder / "names").write_text(f"subjectAltName=DNS:{name}\n")
        openssl("req", *curve, "-subj", f"/CN={name}", "-keyout", f"{service}.key", "-out", f"{service}.csr")
        openssl("x509", "-req", "-in", f"{service}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
                "-extfile", "names", "-out", f"{service}.crt")
        cluster.secrets[f"flashsale-{service}-tls"] = {
            "tls.crt": (folder / f"{service}.crt").read_text(), "tls.key": (folder / f"{service}.key").read_text(), "ca.crt": (folder / "ca.crt").read_text()}
    issuer = Issuer(folder)
    cluster.secrets["flashsale-keys"] = {"issuer.pem": issuer.public.read_text()}
    cluster.secrets["flashsale-challenge"] = {"key": "a key of challenges, for all gatekeepers"}
    return issuer


def allow_stores(cluster):
    """The permission, as docs/kubernetes.md makes it."""
    pods = [f"{s['metadata']['name']}-{i}" for s in of_kind(cluster.things, "StatefulSet") for i in range(s["spec"]["replicas"])]
    until = subprocess.run(["date", "-u", "-d", "+10 minutes", "+%FT%TZ"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    cluster.config_maps["flashsale-new-stores"] = {"until": until, "pods": " ".join(pods)}
