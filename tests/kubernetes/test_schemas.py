"""kubeconform over what is rendered, against the schemas of Kubernetes 1.32, strictly: a field that the API does not know is an error."""

import subprocess

import pytest
import schemas
import yaml
from manifests import OVERLAYS, PROJECT, render

SWAGGER = PROJECT / ".deps" / "kubernetes" / "swagger.json"
NOT_KUBERNETES_OWN = ("PodMonitor", "PrometheusRule")


@pytest.fixture(scope="module")
def check(tmp_path_factory):
    folder = tmp_path_factory.mktemp("schemas")
    kinds = {f"{thing['apiVersion']}/{thing['kind']}" for overlay in OVERLAYS for thing in render(overlay)}
    schemas.main(SWAGGER, folder, kinds)

    def run(things):
        return subprocess.run(
            [str(PROJECT / ".deps/bin/kubeconform"), "-strict", "-summary", "-skip", ",".join(NOT_KUBERNETES_OWN),
             "-schema-location", f"{folder}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json", "-"],
            input=yaml.safe_dump_all(things), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    return run


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_it_conforms(check, overlay):
    answer = check(render(overlay))
    assert answer.returncode == 0 and "Invalid: 0, Errors: 0" in answer.stdout, answer.stdout


@pytest.mark.parametrize("wrong", [{"replica": 2}, {"replicas": "two"}])
def test_what_does_not_conform_is_seen(check, wrong):
    things = render("dev")
    next(thing for thing in things if thing["kind"] == "StatefulSet")["spec"] |= wrong
    answer = check(things)
    assert answer.returncode == 1 and next(iter(wrong)) in answer.stdout, answer.stdout
