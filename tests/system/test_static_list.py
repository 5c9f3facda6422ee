"""The static list in a running system: names in it, and its changes."""

import os

from flashsale_client import wait_until


def write_whole(path, text):
    """As people should: never half a file."""
    path.with_suffix(".new").write_text(text)
    os.replace(path.with_suffix(".new"), path)


def test_a_name_in_the_list(installations, tmp_path, fresh):
    services, sku = tmp_path / "services.list", fresh("SKU")
    services.write_text("")
    sale = installations("--set", f"cart.discovery-file={services}", "--no-demo")
    services.write_text(f"inventory localhost:{sale.port + 3} shard=0/1 admin=localhost:{sale.port + 13}\n")
    sale.up()
    assert sale.rest.post("/add", {"goodsSKU": sku, "goodsQuantity": 9, "goodsPrice": 1}).status_code == 200
    wait_until(lambda: sale.rest.buy("by-name", sku, key="one").json().get("repResult"))
    write_whole(services, f"inventory no-such-host.invalid:{sale.port + 3} shard=0/1\n")
    wait_until(lambda: "a name can't be resolved" in sale.log("cart"))
    write_whole(services, f"inventory 127.0.0.1:{sale.port + 3} shard=0/1\n")
    wait_until(lambda: sale.rest.buy("by-address", sku, key="two").json().get("repResult"))
