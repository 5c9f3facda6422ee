"""The demo sale of an installation, opened once through the gatekeeper, and what to try with it."""

import shlex
import urllib.error
import urllib.request

from .layout import HOST, PROJECT, SERVICES

SALE = PROJECT / "scripts" / "installation" / "demo-sale.txt"


class Failure(Exception):
    """Ends the command with this text."""


def open_sale(home):
    opened = home.path / "demo-sale-open"
    if opened.exists():
        return
    for line in SALE.read_text().splitlines():
        if line and not line.startswith("#"):
            path, body = line.split(maxsplit=1)
            post(home, path, body, fine=(200, 201, 409))  # 409: an earlier attempt came this far
    opened.touch()


def post(home, path, body, fine):
    request = urllib.request.Request(f"http://{HOST}:{home.settings.port}{path}", data=body.encode(),
                                     headers={"Content-Type": "application/json"}, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            status, text = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read()
    except OSError as error:
        raise Failure(f"opening the demo sale: POST {path}: {error}") from error
    if status not in fine:
        raise Failure(f"opening the demo sale: POST {path} {body} was answered {status}: {text.decode(errors='replace')}")


def hints(home):
    ports = {service.name: home.port(service) for service in home.services()}
    grpcurl = shlex.quote(str(PROJECT / ".deps" / "bin" / "grpcurl"))
    if home.settings.tls:
        files = home.tls_files("operator")
        how = " ".join(f"-{flag} {shlex.quote(str(files[name]))}" for flag, name in (("cacert", "ca"), ("cert", "cert"), ("key", "key")))
    else:
        how = "-plaintext"
    rest = f"http://{HOST}:{ports['gatekeeper']}"
    down = "" if home.path == PROJECT / "var" else f" --home {shlex.quote(str(home.path))}"
    buy = '{"sessionID":"sid00001","clientIP":"127.0.0.1","userID":"user00001","userLevel":5,"goodsSKU":"SKU0001","goodsQuantity":1}'
    hold = '{"sku":"SKU0001"}'
    return f"""
The sale is open. Shop over REST:
  curl {rest}/all
  curl -H 'Content-Type: application/json' -H 'Idempotency-Key: try-1' -d '{buy}' {rest}/buy
  curl {rest}/user/userid/user00001/sku/SKU0001
Look inside with grpcurl:
  {grpcurl} {how} {HOST}:{ports['inventory']} list
  {grpcurl} {how} {HOST}:{ports['inventory']} describe flashsale.inventory.v1.InventoryService
  {grpcurl} {how} -d '{hold}' {HOST}:{ports['inventory']} flashsale.inventory.v1.InventoryService/GetGoods
  {grpcurl} {how} -d '{{"user_id":"user00001"}}' {HOST}:{ports['cart']} flashsale.cart.v1.CartService/GetCart
  {grpcurl} {how} {HOST}:{ports['policy']} flashsale.policy.v1.PolicyService/ListPolicies
  {grpcurl} {how} {HOST}:{ports['protector']} flashsale.protector.v1.ProtectorService/ListBans
Metrics: curl http://{HOST}:{home.admin_port(SERVICES[0])}/metrics     Logs: {home.log}
Stop:    ./flashsale down{down}"""
