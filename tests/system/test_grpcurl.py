"""grpcurl, a client that is not ours, with no proto file at hand: it lists, describes and calls each service by reflection."""

import json

import pytest
from flashsale_client import grpcurl

# process -> its service and a read that needs nothing, or names that are there in the demo sale
CALLS = {
    "inventory": ("flashsale.inventory.v1.InventoryService", "GetGoods", {"sku": "SKU0001"}, "goods"),
    "cart": ("flashsale.cart.v1.CartService", "GetCart", {"user_id": "nobody"}, None),
    "policy": ("flashsale.policy.v1.PolicyService", "ListPolicies", {}, "policies"),
    "protector": ("flashsale.protector.v1.ProtectorService", "ListBans", {}, None),
}
everywhere = pytest.mark.parametrize("process", CALLS)


@everywhere
def test_lists(sale, process):
    result = grpcurl(sale.address(process), "list")
    assert result.returncode == 0, result.stderr
    assert {CALLS[process][0], "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection"} <= set(result.stdout.split())


@everywhere
def test_describes(sale, process):
    service, method, _, _ = CALLS[process]
    result = grpcurl(sale.address(process), "describe", service)
    assert result.returncode == 0, result.stderr
    assert f"rpc {method} " in result.stdout
    message = grpcurl(sale.address(process), "describe", f"{service.rsplit('.', 1)[0]}.{method}Request")
    assert message.returncode == 0, message.stderr


@everywhere
def test_calls(sale, process):
    service, method, request, member = CALLS[process]
    result = grpcurl("-d", json.dumps(request), sale.address(process), f"{service}/{method}")
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    assert member is None or member in answer


@everywhere
def test_health(sale, process):
    for service in ("", CALLS[process][0]):
        result = grpcurl("-d", json.dumps({"service": service}), sale.address(process), "grpc.health.v1.Health/Check")
        assert json.loads(result.stdout) == {"status": "SERVING"}, result.stderr


@everywhere
def test_an_unknown_method_fails_at_once(sale, process):
    # Of a service that the process does have in its descriptors, but does not serve.
    other = "flashsale.gatekeeper.v1.GatekeeperService/Buy"
    result = grpcurl("-max-time", 5, "-d", "{}", sale.address(process), other)
    assert result.returncode != 0
    assert "Unimplemented" in result.stderr or "not found" in result.stderr or "does not include" in result.stderr


@pytest.mark.parametrize("process, method, request_, field", [
    ("inventory", "GetGoods", {"sku": "no good!"}, "sku"),
    ("inventory", "CreateGoods", {"sku": ""}, "sku"),
    ("cart", "GetCart", {"user_id": ""}, "user_id"),
    ("policy", "GetPolicy", {"sku": "no good!", "user_level": 1}, "sku"),
    ("protector", "GetBan", {}, None),
])
def test_wrong_input_names_the_field(sale, process, method, request_, field):
    service = CALLS[process][0]
    result = grpcurl("-d", json.dumps(request_), sale.address(process), f"{service}/{method}")
    assert result.returncode != 0
    assert "InvalidArgument" in result.stderr
    assert field is None or field in result.stderr
