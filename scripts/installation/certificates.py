"""The throw-away authority of `up --tls`, and what it signs: one certificate a service, one for people.

    HOME/etc/tls/ca.crt, ca.key          the authority
    HOME/etc/tls/NAME.crt, NAME.key      made out to NAME.flashsale.internal, and to this machine's loopback address for grpcurl's sake
Keys are readable for their owner only. All of it ends after 30 days; `up` makes what is missing or near its end.
"""

import os
import subprocess

DOMAIN = "flashsale.internal"
DAYS = 30
RENEW_WITHIN_S = 7 * 86400
NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def provide(folder, names):
    """What is missing or ends soon is made."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not is_good(folder / "ca.crt"):
        make_authority(folder)
        for name in names:
            make(folder, name)
    for name in names:
        if not is_good(folder / f"{name}.crt"):
            make(folder, name)


def is_good(path):
    return path.exists() and subprocess.run(["openssl", "x509", "-noout", "-in", path, "-checkend", str(RENEW_WITHIN_S)],
                                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def make_authority(folder, name="ca"):
    openssl(folder, "req", "-x509", *NEW_KEY, "-keyout", f"{name}.key.new", "-out", f"{name}.crt.new", "-days", str(DAYS), "-subj", "/CN=flashsale throw-away CA",
            "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign")
    replace(folder, f"{name}.key", f"{name}.crt")


def make(folder, name, days=DAYS, authority="ca"):
    """A new key and certificate in the place of the old ones, the key first: who reads them between sees that they do not fit and reads again."""
    (folder / f"{name}.ext").write_text(f"subjectAltName=DNS:{name}.{DOMAIN},DNS:localhost,IP:127.0.0.1,IP:::1\n"
                                        "extendedKeyUsage=serverAuth,clientAuth\nbasicConstraints=critical,CA:FALSE\n")
    openssl(folder, "req", "-new", *NEW_KEY, "-keyout", f"{name}.key.new", "-out", f"{name}.csr", "-subj", f"/CN={name}")
    openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.crt", "-CAkey", f"{authority}.key", "-CAcreateserial", "-days", str(days),
            "-extfile", f"{name}.ext", "-out", f"{name}.crt.new")
    replace(folder, f"{name}.key", f"{name}.crt")
    for rest in ("csr", "ext"):
        (folder / f"{name}.{rest}").unlink()


def replace(folder, *names):
    for name in names:
        os.replace(folder / f"{name}.new", folder / name)


def openssl(folder, *words):
    result = subprocess.run(["openssl", *words], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, umask=0o077)
    if result.returncode:
        raise RuntimeError(f"openssl {words[0]} ended with {result.returncode}: {result.stderr.strip()}")
