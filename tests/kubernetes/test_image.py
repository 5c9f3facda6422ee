"""The image: what is in it, and how it behaves when it is run by hand."""

import subprocess

from image import PROJECT, size

SIZE_MAX = 130e6     # of all files; the base alone has 77e6
OWN_MAX = 8e6        # of /usr/local
SERVICES = ("inventory", "cart", "policy", "protector")


def enter(image, *words, user="10001:10001"):
    return subprocess.run(["chroot", f"--userspec={user}", str(image.root), *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def test_it_is_small(image):
    whole, own = size(image.root), size(image.root / "usr/local")
    print(f"{whole / 1e6:.1f} MB, of which ours {own / 1e6:.1f} MB")
    assert whole < SIZE_MAX and own < OWN_MAX


def test_it_has_nothing_to_build_or_test_with(image):
    packages = image.packages()
    assert {"nginx", "libgrpc29", "liblmdb0"} <= set(packages)
    assert not [name for name in packages if name.endswith("-dev") or name.startswith(("gcc-12-x", "g++", "cpp", "make", "python", "iproute2", "curl"))]
    for folder in ("var/lib/apt/lists", "var/cache", "var/log", "tmp"):
        assert list((image.root / folder).iterdir()) == [], folder


def test_every_library_is_there(image):
    programs = [f"/usr/local/bin/flashsale-{name}" for name in SERVICES] + \
        ["/usr/local/lib/flashsale/ngx_http_flashsale_module.so", "/usr/sbin/nginx"]
    for program in programs:
        libraries = enter(image, "ldd", program)
        assert libraries.returncode == 0 and "not found" not in libraries.stdout, libraries.stdout


def test_every_package_that_is_asked_for_is_needed(image):
    """Each library of install.sh has a file that one of our programs or nginx names."""
    needed = ""
    for path in [*(image.root / "usr/local/bin").glob("flashsale-*"), *(image.root / "usr/local/lib/flashsale").iterdir(), image.root / "usr/sbin/nginx"]:
        needed += subprocess.run(["objdump", "-p", str(path)], stdout=subprocess.PIPE, text=True, check=True).stdout
    script = (PROJECT / "k8s/image/install.sh").read_text()
    block = script.split("libraries=(")[1].split("\n)")[0]
    for package in " ".join(line.split("#")[0] for line in block.splitlines()).split():
        files = (image.root / f"var/lib/dpkg/info/{package}:amd64.list")
        files = files if files.exists() else image.root / f"var/lib/dpkg/info/{package}.list"
        sonames = [line.rpartition("/")[2] for line in files.read_text().splitlines() if ".so." in line]
        assert any(f"NEEDED               {soname}\n" in needed for soname in sonames), package


def test_its_configuration(image):
    config = image.config()
    assert config["User"] == "10001:10001" and config["Entrypoint"] == ["/usr/local/bin/flashsale"]
    assert {label.rpartition(".")[2] for label in config["Labels"]} >= {"title", "description", "version", "licenses"}
    assert config["Healthcheck"]["Test"] == ["CMD", "/usr/local/bin/flashsale", "health"]


def test_nothing_is_more_than_anybodys(image):
    """No file of ours is writable by the user it runs as, and no set-uid program came with us."""
    found = subprocess.run(["find", str(image.root / "usr/local"), "(", "-perm", "/022", "-o", "-uid", "10001", ")", "-not", "-type", "l"],
                           stdout=subprocess.PIPE, text=True, check=True).stdout
    assert found == ""


def test_each_service_explains_itself(image):
    for service in SERVICES:
        answer = enter(image, "/usr/local/bin/flashsale", service, "--help")
        assert answer.returncode == 0 and f"usage: flashsale-{service}" in answer.stdout
    assert "--throttle-rate" in enter(image, "/usr/local/bin/flashsale", "gatekeeper", "--help").stdout


def test_what_is_wrong_is_refused(image):
    def refused(*words, user="0:0", **environment):
        pairs = [f"{name}={value}" for name, value in environment.items()]
        answer = enter(image, "/usr/bin/env", *pairs, "/usr/local/bin/flashsale", *words, user=user)
        assert answer.returncode == 2, answer.stdout
        return answer.stdout

    assert "unknown service 'nobody'" in refused("nobody")
    assert "how are services found" in refused("gatekeeper")
    assert "contradict" in refused("gatekeeper", "--discovery", "consul", "--discovery-file", "/etc/hosts")
    assert "misread" in refused("gatekeeper", "--discovery-file", "/x; daemon on", FLASHSALE_CFG_WORKERS="1")
    assert "misread" in refused("gatekeeper", FLASHSALE_CFG_DEMO="off; load_module /x")
    assert "no setting's name" in refused("gatekeeper", "--x;y", "1")
    assert "/run/flashsale must be a folder" in refused("gatekeeper", "--discovery-file", "/etc/hosts", user="10001:10001")
