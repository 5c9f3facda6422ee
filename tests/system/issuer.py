"""Who signs tokens, in tests."""

import base64
import json
import subprocess
import time


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Issuer:
    """Makes a key pair with openssl, and tokens that it signed (RS256)."""

    def __init__(self, folder, name="issuer"):
        self.private = folder / f"{name}.key"
        self.public = folder / "keys" / f"{name}.pem"
        self.public.parent.mkdir(exist_ok=True)
        subprocess.run(["openssl", "genrsa", "-out", self.private, "2048"], check=True, stderr=subprocess.DEVNULL)
        subprocess.run(["openssl", "rsa", "-in", self.private, "-pubout", "-out", self.public], check=True, stderr=subprocess.DEVNULL)

    def token(self, algorithm="RS256", **claims):
        claims = {"exp": int(time.time()) + 600} | claims
        text = ".".join(base64url(json.dumps(part).encode()) for part in ({"alg": algorithm, "typ": "JWT"}, claims))
        signature = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.private], input=text.encode(), check=True,
                                   stdout=subprocess.PIPE).stdout
        return f"{text}.{base64url(signature)}"

    def bearer(self, **claims):
        return {"Authorization": f"Bearer {self.token(**claims)}"}
