"""The image, built as its Dockerfile says: on a base of debootstrap's instead of Debian's own image, with buildah in chroots, in storage of our own.

    image.py FOLDER           builds it and lays its root out in FOLDER/root
    image.py FOLDER --full    the programs are built in the Dockerfile's first stage too, instead of taken from build/release
"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
MIRROR = "http://deb.debian.org/debian"
# As in Debian's slim image.
SLIM = "".join(f"path-exclude /usr/share/{name}/*\n" for name in ("doc", "man", "locale", "info", "lintian"))


def missing():
    """Why no image can be built here, or nothing."""
    if os.geteuid() != 0:
        return "building an image in a chroot needs root"
    for program in ("debootstrap", "buildah"):
        if not shutil.which(program):
            return f"there is no {program} (./flashsale setup installs it)"
    if subprocess.run(["unshare", "--net", "--mount", "--pid", "--fork", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], stderr=subprocess.DEVNULL).returncode:
        return "this machine gives root no namespaces and mounts of its own"
    return ""


class NoBase(Exception):
    """debootstrap can't make a Debian here: no mirror, no device nodes."""


def mirror():
    """Where this machine has its own packages from."""
    result = subprocess.run(["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Codename: bookworm", "Component: main"],
                            stdout=subprocess.PIPE, text=True)
    return next(iter(result.stdout.splitlines()), MIRROR)


class Image:
    def __init__(self, folder, name="localhost/flashsale:1.0.0"):
        self.folder, self.name = Path(folder).absolute(), name
        self.base, self.root = self.folder / "base.tar", self.folder / "root"
        self.folder.mkdir(parents=True, exist_ok=True)

    def buildah(self, *words, **options):
        storage = ["--root", str(self.folder / "storage"), "--runroot", str(self.folder / "run"), "--storage-driver", "vfs"]
        result = subprocess.run(["nice", "buildah", *storage, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
        if result.returncode:
            raise RuntimeError(f"buildah {words[0]} ended with {result.returncode}:\n{result.stdout[-6000:]}")
        return result.stdout.strip()

    def make_base(self):
        """A small Debian 12, kept from run to run."""
        if self.base.exists():
            return
        tree = self.folder / "base"
        shutil.rmtree(tree, ignore_errors=True)
        result = subprocess.run(["nice", "debootstrap", "--variant=minbase", "bookworm", str(tree), mirror()],
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if result.returncode:
            raise NoBase(f"debootstrap ended with {result.returncode}:\n{result.stdout[-3000:]}")
        (tree / "etc/dpkg/dpkg.cfg.d/slim").write_text(SLIM)
        for pattern in ("usr/share/doc/*", "usr/share/man/*", "usr/share/locale/*", "usr/share/info/*", "usr/share/lintian/*",
                        "var/cache/apt/archives/*.deb", "var/cache/apt/*.bin", "var/lib/apt/lists/*", "var/log/*"):
            for path in tree.glob(pattern):
                shutil.rmtree(path, ignore_errors=True) if path.is_dir() and not path.is_symlink() else path.unlink()
        whole = self.base.with_suffix(".part")
        subprocess.run(["tar", "--numeric-owner", "-C", str(tree), "-cf", str(whole), "--exclude=./proc/*", "--exclude=./sys/*", "--exclude=./dev/*", "."], check=True)
        shutil.rmtree(tree)
        whole.rename(self.base)

    def build(self, full=False):
        self.make_base()
        context = self.folder / "context"
        shutil.rmtree(context, ignore_errors=True)
        if full:
            shutil.copytree(PROJECT, context, ignore=shutil.ignore_patterns(".git", ".deps", "build", "var", "__pycache__"))
            shutil.copytree(PROJECT / ".deps" / "googleapis", context / ".deps" / "googleapis")  # as .dockerignore leaves it in
        else:
            shutil.copytree(PROJECT / "k8s" / "image", context / "k8s" / "image")
            subprocess.run(["bash", "k8s/image/programs.sh", str(context / "prebuilt"), "build/release"], cwd=PROJECT, check=True)
        if "localhost/flashsale-base" not in self.buildah("images", "--format", "{{.Name}}"):
            container = self.buildah("from", "scratch")
            self.buildah("add", "--quiet", container, str(self.base), "/")
            self.buildah("commit", "--quiet", "--rm", container, "localhost/flashsale-base:latest")
        self.buildah("bud", "--isolation", "chroot", "--pull-never", "--build-arg", "BASE=localhost/flashsale-base:latest", "--format", "docker",
                     "-f", "k8s/image/Dockerfile", "-t", self.name, ".", cwd=context)
        shutil.rmtree(context)
        self.unpack()
        self.buildah("rmi", "--prune", "--force")  # what the last build's image was made of

    def unpack(self):
        container = self.buildah("from", "--pull-never", self.name)
        mounted = self.buildah("mount", container)
        shutil.rmtree(self.root, ignore_errors=True)
        subprocess.run(["cp", "-a", mounted, str(self.root)], check=True)
        self.buildah("umount", container)
        self.buildah("rm", container)

    def config(self):
        return json.loads(self.buildah("inspect", "--type", "image", self.name))["Docker"]["config"]

    def packages(self):
        """What Debian's packages of the image take, in KiB."""
        text = subprocess.run(["dpkg-query", f"--admindir={self.root}/var/lib/dpkg", "-W", "-f", "${Package} ${Installed-Size}\n"],
                              stdout=subprocess.PIPE, text=True, check=True).stdout
        return {line.split()[0]: int(line.split()[1]) for line in text.splitlines()}


def size(path):
    """Bytes of a tree on disk, as du counts them."""
    return int(subprocess.run(["du", "-sxk", str(path)], stdout=subprocess.PIPE, text=True, check=True).stdout.split()[0]) * 1024


if __name__ == "__main__":
    image = Image(sys.argv[1])
    image.build(full="--full" in sys.argv)
    print(f"{image.name}: {size(image.root) / 1e6:.0f} MB in {image.root}")
