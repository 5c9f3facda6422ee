"""What every manifest has to have: read from what is rendered, for each overlay."""

import re

import pytest
from manifests import OVERLAYS, PROJECT, admits, containers, find, name, of_kind, pod_labels, pod_spec, render, selects, settings, text, workloads

LABELS = ("name", "instance", "version", "component", "part-of", "managed-by")
SERVICES = {"inventory": 8083, "cart": 8084, "policy": 8082, "policy-replica": 8082, "protector": 8081, "gatekeeper": 8080}
# Who speaks to whom, and nobody else: design and code say so.
EDGES = {("gatekeeper", "protector"), ("gatekeeper", "policy"), ("gatekeeper", "policy-replica"), ("gatekeeper", "cart"), ("gatekeeper", "inventory"), ("cart", "inventory"),
         ("protector", "protector"), ("policy-replica", "policy")}


@pytest.fixture(params=OVERLAYS)
def things(request):
    return render(request.param)


def services(things):
    return {pod_labels(w)["app.kubernetes.io/component"]: w for w in of_kind(things, "StatefulSet", "Deployment")}


def is_production(things):
    return settings(things, services(things)["gatekeeper"])["FLASHSALE_CFG_DEMO"] == "off"


def ports(things):
    """component -> port, of those that this overlay has."""
    return {component: port for component, port in SERVICES.items() if component in services(things)}


def test_everything_is_there(things):
    replicas = {"policy-replica"} if is_production(things) else set()
    assert set(services(things)) == set(SERVICES) - {"policy-replica"} | replicas
    for thing in things:
        if thing["kind"] != "Namespace":
            assert thing["metadata"]["namespace"] == "flashsale", name(thing)


def test_recommended_labels(things):
    for workload in workloads(things):
        for labels in (workload["metadata"]["labels"], pod_labels(workload)):
            assert not [label for label in LABELS if f"app.kubernetes.io/{label}" not in labels], name(workload)
        tags = {c["image"].rpartition(":")[2] for c, _ in containers(workload)}
        assert tags == {pod_labels(workload)["app.kubernetes.io/version"]}, "the version is the image's"


def test_what_never_changes_has_no_version(things):
    """An upgrade that changes a selector or a claim is refused by the API server."""
    for workload in of_kind(things, "StatefulSet", "Deployment"):
        fixed = [workload["spec"]["selector"]] + [claim["metadata"] for claim in workload["spec"].get("volumeClaimTemplates", [])]
        assert "app.kubernetes.io/version" not in str(fixed), name(workload)


def test_pods_are_restricted(things):
    for workload in workloads(things):
        spec = pod_spec(workload)
        assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["securityContext"]["runAsUser"] == 10001
        assert spec["enableServiceLinks"] is False and spec["automountServiceAccountToken"] is False
        for container, _ in containers(workload):
            context = container["securityContext"]
            assert context["readOnlyRootFilesystem"] and not context["allowPrivilegeEscalation"]
            assert context["capabilities"] == {"drop": ["ALL"]}
            for part in ("requests", "limits"):
                assert {"cpu", "memory"} <= set(container["resources"][part]), (name(workload), part)


def test_probes(things):
    tls = "FLASHSALE_CFG_TLS_CERT" in str(things)
    for component, workload in services(things).items():
        container = pod_spec(workload)["containers"][0]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        startup, ready, alive = (container[kind] for kind in ("startupProbe", "readinessProbe", "livenessProbe"))
        assert {kind for probe in (startup, ready, alive) for kind in ("grpc", "httpGet") if kind in probe} == \
            ({"httpGet"} if tls or component == "gatekeeper" else {"grpc"}), component
        if "grpc" in ready:
            assert ready["grpc"]["port"] == ports["grpc"] and not ready["grpc"].get("service")
            assert startup["grpc"] == alive["grpc"] == {"port": ports["grpc"], "service": "liveness"}
        else:
            assert (startup["httpGet"]["path"], ready["httpGet"]["path"], alive["httpGet"]["path"]) == ("/livez", "/healthz", "/livez")


def test_ends_within_the_grace_period(things):
    for component, workload in services(things).items():
        spec = pod_spec(workload)
        sleep = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
        drain = 10 if component == "gatekeeper" else 8  # worker_shutdown_timeout of nginx.conf.in; --drain-delay, --drain-time and Consul's 2.5 s
        assert sleep > 0 and sleep + drain < spec["terminationGracePeriodSeconds"], component
    assert "worker_shutdown_timeout 10s;" in (PROJECT / "gatekeeper/nginx/nginx.conf.in").read_text()


def test_one_writer_a_store(things):
    for workload in of_kind(things, "StatefulSet"):
        spec = workload["spec"]
        assert spec["updateStrategy"]["type"] == "RollingUpdate" and "maxUnavailable" not in spec["updateStrategy"].get("rollingUpdate", {})
        claim, = spec["volumeClaimTemplates"]
        assert claim["spec"]["accessModes"] in (["ReadWriteOncePod"], ["ReadWriteOnce"])
        assert spec["persistentVolumeClaimRetentionPolicy"] == {"whenDeleted": "Retain", "whenScaled": "Retain"}
        assert find(things, "Service", spec["serviceName"])["spec"]["clusterIP"] == "None"


def test_a_store_fits_on_its_volume(things):
    for workload in of_kind(things, "StatefulSet"):
        room = quantity(workload["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"])
        store = quantity(settings(things, workload)["FLASHSALE_CFG_STORE_SIZE"].upper() + "i")
        assert store < room, name(workload)


def quantity(written):
    number, unit = re.fullmatch(r"(\d+)([KMGT]i)", written).groups()
    return int(number) * 1024 ** (1 + "KMGT".index(unit[0]))


def test_production_has_what_a_sale_needs_twice(things):
    made = services(things)
    assert made["protector"]["spec"]["replicas"] == (2 if is_production(things) else 1)
    if not is_production(things):
        return
    replica = settings(things, made["policy-replica"])
    assert made["policy-replica"]["spec"]["replicas"] == 2 and replica["FLASHSALE_CFG_REPLICA_OF"] == "flashsale-policy-0.flashsale-policy:8082"
    assert "FLASHSALE_CFG_STORE" not in replica


def test_gatekeepers_share_the_key_of_challenges(things):
    gatekeeper = services(things)["gatekeeper"]
    key = settings(things, gatekeeper).get("FLASHSALE_CFG_CHALLENGE_KEY")
    assert (key is not None) == is_production(things)
    if key:
        mount, = [m for m in pod_spec(gatekeeper)["containers"][0]["volumeMounts"] if key == m["mountPath"] + "/key"]
        volume, = [v for v in pod_spec(gatekeeper)["volumes"] if v["name"] == mount["name"]]
        assert volume["secret"] == {"secretName": "flashsale-challenge", "defaultMode": 0o440} and mount["readOnly"]


def test_bans_fit_into_memory(things):
    """As measured: 700 MB for each million, its own and as many of each peer, and 260 MB for the tables of the detectors; a quarter of the limit is for what is read from the store."""
    protector = services(things)["protector"]
    bans = int(settings(things, protector)["FLASHSALE_CFG_BANS_MAX"]) * protector["spec"]["replicas"]
    limit = quantity(pod_spec(protector)["containers"][0]["resources"]["limits"]["memory"])
    assert 700 * bans + 260_000_000 <= limit * 3 / 4
    assert "FLASHSALE_CFG_RECORD" not in settings(things, protector), "accounts and addresses are written down only where somebody wants it"


def test_alerts_are_about_metrics_that_there_are():
    rules = [rule for thing in of_kind(render("prod-consul"), "PrometheusRule") for group in thing["spec"]["groups"] for rule in group["rules"]]
    assert {rule["alert"] for rule in rules} >= {"FlashsaleTrafficDropped", "FlashsaleProtectorBehind", "FlashsaleBanFeedSilent"}
    documented = set(re.findall(r"^\| `(flashsale_[a-z_]+)`", (PROJECT / "docs" / "operations.md").read_text(), re.M))
    for rule in rules:
        names = set(re.findall(r"flashsale_[a-z_]+", rule["expr"]))
        assert names and names <= documented, rule
        assert rule["for"] and rule["labels"]["severity"] in ("warning", "critical") and rule["annotations"]["summary"] and rule["annotations"]["description"]


def test_shards_agree(things):
    """Pods, their settings, the cart's, the gatekeeper's and the list: all say the same counts."""
    made = services(things)
    counts = {}
    for component in ("inventory", "cart"):
        counts[component] = made[component]["spec"]["replicas"]
        assert int(settings(things, made[component])["FLASHSALE_CFG_SHARDS"]) == counts[component]
        for container, _ in containers(made[component]):
            shard, = [entry for entry in container["env"] if entry["name"] == "FLASHSALE_CFG_SHARD"]
            assert shard["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.labels['apps.kubernetes.io/pod-index']"
    assert int(settings(things, made["cart"])["FLASHSALE_CFG_INVENTORY_SHARDS"]) == counts["inventory"]
    assert settings(things, made["gatekeeper"])["FLASHSALE_CFG_SHARDS"] == f"{counts['inventory']} {counts['cart']}"
    lists = [thing["data"]["services.list"] for thing in of_kind(things, "ConfigMap") if "services.list" in thing["data"]]
    if not lists:
        assert settings(things, made["cart"])["FLASHSALE_CFG_DISCOVERY"] == "consul"
        return
    lines = [line.split() for line in lists[0].splitlines() if line and line[0] != "#"]
    for component, count in counts.items():
        listed = {words[1]: words[2] for words in lines if words[0] == component}
        assert listed == {f"flashsale-{component}-{i}.flashsale-{component}:{SERVICES[component]}": f"shard={i}/{count}" for i in range(count)}
    assert [words[1] for words in lines if words[0] == "policy"] == ["flashsale-policy:8082"] + ["flashsale-policy-replicas:8082"] * is_production(things)
    # By name each, with an id: at another address it is still the same, and what it says of bans takes the place of what it said before.
    assert [words[1:3] for words in lines if words[0] == "protector"] == [
        [f"flashsale-protector-{i}.flashsale-protector:8081", f"id=protector-{i}"] for i in range(made["protector"]["spec"]["replicas"])]
    assert [words[1] for words in lines if words[0] == "gatekeeper"] == ["flashsale-gatekeepers:8080"], "they learn their number"
    assert find(things, "Service", "flashsale-gatekeepers")["spec"]["clusterIP"] == "None"


def test_disruptions_and_spread(things):
    for component, workload in services(things).items():
        budgets = [b["spec"] for b in of_kind(things, "PodDisruptionBudget") if selects(b["spec"]["selector"], pod_labels(workload))]
        assert [budget["maxUnavailable"] for budget in budgets] == [1], component
        spread = pod_spec(workload)["topologySpreadConstraints"]
        assert {entry["topologyKey"] for entry in spread} == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
        assert all(selects(entry["labelSelector"], pod_labels(workload)) for entry in spread)


def test_the_autoscaler_is_the_only_one_to_scale(things):
    for scaler in of_kind(things, "HorizontalPodAutoscaler"):
        target = find(things, scaler["spec"]["scaleTargetRef"]["kind"], scaler["spec"]["scaleTargetRef"]["name"])
        assert "replicas" not in target["spec"]


def test_network_edges(things):
    labels = {component: pod_labels(workload) for component, workload in services(things).items()}
    for source in labels:
        for target, port in ports(things).items():
            wanted = (source, target) in EDGES
            # The public port is everybody's to reach, but services have no way out to it.
            assert admits(things, labels[source], labels[target], port) == wanted, (source, target)
            assert not admits(things, labels[source], labels[target], port + 10), (source, target, "admin")
    stranger = {"app": "stranger"}
    for target, port in ports(things).items():
        assert admits(things, "198.51.100.7", labels[target], port) == (target == "gatekeeper")
        assert admits(things, "198.51.100.7", labels[target], port + 10) is False
    assert not admits(things, stranger, labels["inventory"], 8083)
    deny = find(things, "NetworkPolicy", "flashsale-deny")["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}


def test_stores_are_made_only_with_permission(things):
    for workload in of_kind(things, "StatefulSet"):
        init, = pod_spec(workload)["initContainers"]
        service = pod_spec(workload)["containers"][0]
        assert init["args"] == ["init", *service["args"]] and init["envFrom"] == service["envFrom"]
        volume, = [v for v in pod_spec(workload)["volumes"] if v["name"] == "new-stores"]
        assert volume["configMap"] == {"name": "flashsale-new-stores", "optional": True}


def test_only_dev_allows_stores_by_itself_and_believes_everybody():
    for overlay in OVERLAYS:
        things = render(overlay)
        demo = settings(things, services(things)["gatekeeper"])["FLASHSALE_CFG_DEMO"]
        assert (find(things, "ConfigMap", "flashsale-new-stores") is not None, demo) == ((overlay == "dev"), "forced" if overlay == "dev" else "off")


def test_production_keeps_shoppers_addresses():
    gate = find(render("prod"), "Service", "flashsale-gatekeeper")["spec"]
    assert (gate["type"], gate["externalTrafficPolicy"]) == ("LoadBalancer", "Local")


def test_selectors_find_their_pods(things):
    pods = [pod_labels(workload) for workload in workloads(things)]
    for service in of_kind(things, "Service"):
        matching = [labels for labels in pods if selects({"matchLabels": service["spec"]["selector"]}, labels)]
        assert [labels["app.kubernetes.io/component"] for labels in matching] == [service["metadata"]["name"].removeprefix("flashsale-").removesuffix("s")]
    for policy in of_kind(things, "NetworkPolicy"):
        assert any(selects(policy["spec"]["podSelector"], labels) for labels in pods), name(policy)


def test_no_secret_is_in_the_manifests(things):
    assert not of_kind(things, "Secret")
    assert "PRIVATE KEY" not in "".join(map(text, OVERLAYS))
