"""The manifests: rendered, read, and what a cluster would make of them on paper."""

import ipaddress
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import yaml

PROJECT = Path(__file__).resolve().parents[2]
sys.path.append(str(PROJECT / "tests" / "system"))  # for who imports this one first
OVERLAYS = ("dev", "prod", "prod-consul")


@lru_cache
def text(overlay):
    """As `kubectl kustomize` renders it, by the same library."""
    kubectl = PROJECT / ".deps" / "bin" / "kubectl"
    command = [str(kubectl), "kustomize"] if kubectl.exists() else [str(PROJECT / ".deps" / "bin" / "kustomize"), "build"]
    return subprocess.run([*command, str(PROJECT / "k8s" / "overlays" / overlay)], stdout=subprocess.PIPE, text=True, check=True).stdout


def render(overlay):
    return [document for document in yaml.safe_load_all(text(overlay)) if document]


def name(thing):
    return f"{thing['kind']}/{thing['metadata']['name']}"


def of_kind(things, *kinds):
    return [thing for thing in things if thing["kind"] in kinds]


def find(things, kind, name):
    return next((thing for thing in things if thing["kind"] == kind and thing["metadata"]["name"] == name), None)


def workloads(things):
    return of_kind(things, "StatefulSet", "Deployment", "Job")


def pod_spec(workload):
    return workload["spec"]["template"]["spec"]


def pod_labels(workload):
    return workload["spec"]["template"]["metadata"]["labels"]


def containers(workload):
    """(container, whether it is an init container)"""
    spec = pod_spec(workload)
    return [(c, True) for c in spec.get("initContainers", [])] + [(c, False) for c in spec["containers"]]


def settings(things, workload):
    """What the service's container gets from its ConfigMap and from plain values."""
    found = {}
    container = pod_spec(workload)["containers"][0]
    for source in container.get("envFrom", []):
        found |= find(things, "ConfigMap", source["configMapRef"]["name"])["data"]
    return found | {entry["name"]: entry.get("value") for entry in container.get("env", [])}


def selects(selector, labels):
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    for expression in selector.get("matchExpressions", []):
        inside = labels.get(expression["key"]) in expression.get("values", [])
        if {"In": not inside, "NotIn": inside}[expression["operator"]]:
            return False
    return True


def admits(things, source, target, port, protocol="TCP"):
    """Whether the network policies let `source` speak to `target`: labels of a pod, or an address out of the cluster."""
    ends = ((source, target, "Egress", "egress", "to"), (target, source, "Ingress", "ingress", "from"))
    return all(passes(things, pod, peer, port, protocol, *words) for pod, peer, *words in ends if isinstance(pod, dict))


def passes(things, pod, peer, port, protocol, kind, rules, side):
    policies = [policy["spec"] for policy in of_kind(things, "NetworkPolicy")
                if selects(policy["spec"]["podSelector"], pod) and kind in policy["spec"]["policyTypes"]]
    if not policies:
        return True
    return any((not rule.get("ports") or any(fits(entry, port, protocol) for entry in rule["ports"])) and
               (not rule.get(side) or any(is_peer(entry, peer) for entry in rule[side]))
               for policy in policies for rule in policy.get(rules, []))


def fits(entry, port, protocol):
    return entry.get("protocol", "TCP") == protocol and entry["port"] <= port <= entry.get("endPort", entry["port"])


def is_peer(entry, peer):
    if "ipBlock" in entry:
        return isinstance(peer, str) and ipaddress.ip_address(peer) in ipaddress.ip_network(entry["ipBlock"]["cidr"])
    return isinstance(peer, dict) and "namespaceSelector" not in entry and selects(entry["podSelector"], peer)
