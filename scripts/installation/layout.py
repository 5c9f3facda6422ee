"""Where everything of an installation is: ports, folders, generated configuration.

    HOME/installation.json     the settings it was started with
    HOME/etc/                  generated: supervisord.conf, nginx.conf, services.list; tls/ with `up --tls`
    HOME/store/SERVICE/        LMDB, made once by the service's own `init`
    HOME/log/SERVICE.log       a file a service, and access.log; consul.log when there is an agent of our own
    HOME/run/                  sockets and pids; run/SERVICE is the service's working folder

Shard 0 of inventory and cart is SERVICE, shard 1 is SERVICE-1, and so on. So are several protectors called.
"""

import json
import os
import resource
import string
import subprocess
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
SOCKET_PATH_MAX = 90  # the kernel's limit is 107, and supervisord appends its pid while it starts
NGINX = "/usr/sbin/nginx"
FORBIDDEN = "%$;#{}@\"'\\"  # in paths: the configurations of supervisord and nginx take them for something else


@dataclass(frozen=True)
class Service:
    name: str
    offset: int  # its port is the installation's port plus this, its admin port ten above
    has_store: bool = True
    shard: int = 0
    shards: int = 0  # 0: not sharded
    shard_offset: int = 0  # of number 1 and those after it: plus the number

    @property
    def program(self):
        """What it is an instance of."""
        return self.name.removesuffix(f"-{self.shard}")

    def at(self, shard, shards):
        if shard == 0:
            return replace(self, shards=shards)
        return replace(self, name=f"{self.name}-{shard}", offset=self.shard_offset + shard, shard=shard, shards=shards)


# What there is, in the order in which it is started; it is stopped in the opposite one.
SERVICES = (
    Service("inventory", 3, shards=1, shard_offset=30),
    Service("policy", 2),
    Service("protector", 1, shard_offset=5),  # not sharded: each has bans and traffic of its own, and all act as one
    Service("cart", 4, shards=1, shard_offset=50),
    Service("gatekeeper", 0, has_store=False),
)
SHARDS_MAX = 10  # on one machine
PROTECTORS_MAX = 4


# An agent of the installation's own, for `--discovery consul` without CONSUL_HTTP_ADDR: HTTP, gossip, RPC.
CONSUL_OFFSETS = (20, 21, 22)
# What nginx has to hand on to its workers; supervisord hands on everything.
CONSUL_VARIABLES = ("HTTP_ADDR", "HTTP_SSL", "HTTP_SSL_VERIFY", "HTTP_TOKEN", "HTTP_TOKEN_FILE", "HTTP_AUTH", "CACERT", "CAPATH",
                    "CLIENT_CERT", "CLIENT_KEY", "TLS_SERVER_NAME", "NAMESPACE", "PARTITION")


@dataclass
class Settings:
    port: int = 8080
    discovery: str = "static"
    consul: str = ""  # the program, when the installation has an agent of its own
    preset: str = "release"
    tls: bool = False
    hold_ttl: str = ""  # empty: inventory's own default
    inventory_shards: int = 1
    cart_shards: int = 1
    protectors: int = 1
    extra: list = field(default_factory=list)  # "SERVICE.NAME=VALUE"

    def of(self, service):
        """The (name, value) pairs of --set that are for this service."""
        for setting in self.extra:
            owner, _, rest = setting.partition(".")
            if owner == service.program:
                name, _, value = rest.partition("=")
                yield name.replace("_", "-"), value


class Home:
    def __init__(self, path, settings=None):
        self.path = Path(path).absolute()
        self.settings = settings or Settings()
        self.etc, self.log, self.run = self.path / "etc", self.path / "log", self.path / "run"
        self.tls = self.etc / "tls"
        self.socket = self.run / "supervisor.sock"
        self.state = self.path / "installation.json"

    def unfit(self):
        """The path that can't be written into the configurations, if there is one, and the character."""
        for path in (self.path, PROJECT):
            for character in str(path):
                if character in FORBIDDEN or not character.isprintable():
                    return path, character
        return None

    def services(self):
        """Every process of it, as often as there are shards, or protectors."""
        counts = {"inventory": self.settings.inventory_shards, "cart": self.settings.cart_shards, "protector": self.settings.protectors}
        return [service.at(shard, service.shards and counts[service.name])
                for service in SERVICES for shard in range(counts.get(service.name, 1))]

    def service(self, name):
        return next(service for service in self.services() if service.name == name)

    def shards_stored(self, name):
        """How many of inventory, cart or protector have a store here; 0: none."""
        return len([*self.path.glob(f"store/{name}"), *self.path.glob(f"store/{name}-[1-9]")])

    def port(self, service):
        return self.settings.port + service.offset

    def admin_port(self, service):
        return self.port(service) + 10

    def consul_ports(self):
        return [self.settings.port + offset for offset in CONSUL_OFFSETS] if self.settings.consul else []

    def consul_prefix(self):
        """Another installation with the same Consul is another sale."""
        return f"flashsale-{self.settings.port}"

    def health_url(self, service):
        port = self.port(service) if service.name == "gatekeeper" else self.admin_port(service)
        return f"http://{HOST}:{port}/healthz"

    def store(self, service):
        return self.path / "store" / service.name

    def log_file(self, service):
        return self.log / f"{service.name}.log"

    def build(self):
        return PROJECT / "build" / self.settings.preset

    def program(self, service):
        return self.build() / "bin" / f"flashsale-{service.program}"

    def load_settings(self):
        try:
            self.settings = Settings(**json.loads(self.state.read_text()))
        except FileNotFoundError:
            pass
        except (ValueError, TypeError) as error:
            raise OSError(f"{self.state} can't be read: {error}") from error

    def save_settings(self):
        write_whole(self.state, json.dumps(asdict(self.settings), indent=1) + "\n")

    def make_folders(self):
        for folder in (self.etc, self.log, self.run, self.path / "store"):
            folder.mkdir(parents=True, exist_ok=True)
        for name in [service.name for service in self.services()] + (["consul"] if self.settings.consul else []):
            (self.run / name).mkdir(exist_ok=True)

    def write_configuration(self):
        write_whole(self.etc / "services.list", self._services_list())
        write_whole(self.etc / "nginx.conf", self._nginx_conf())
        write_whole(self.etc / "supervisord.conf", self._supervisord_conf())

    def init_command(self, service):
        command = [str(self.program(service)), "init", "--store", str(self.store(service))]
        if service.shards:
            command += ["--shard", str(service.shard), "--shards", str(service.shards)]
        return command

    def command(self, service):
        if service.name == "gatekeeper":
            as_root = "user root; " if os.geteuid() == 0 else ""
            return [NGINX, "-p", str(self.run / service.name), "-c", str(self.etc / "nginx.conf"),
                    "-e", str(self.log_file(service)), "-g", f"{as_root}daemon off;"]
        command = [str(self.program(service)), "--listen", f"{HOST}:{self.port(service)}",
                   "--admin", f"{HOST}:{self.admin_port(service)}", "--store", str(self.store(service))]
        if self.settings.discovery == "consul":
            command += ["--discovery", "consul", "--consul-prefix", self.consul_prefix()]
        else:
            command += ["--discovery-file", str(self.etc / "services.list")]
        if service.shards:
            command += ["--shard", str(service.shard), "--shards", str(service.shards)]
        if service.program == "inventory" and self.settings.hold_ttl:
            command += ["--hold-ttl", self.settings.hold_ttl]
        if service.program == "cart" and self.settings.inventory_shards > 1:
            command += ["--inventory-shards", str(self.settings.inventory_shards)]
        if self.settings.tls:
            for name, path in self.tls_files(service.program).items():
                command += [f"--tls-{name}", str(path)]
        for name, value in self.settings.of(service):
            if name == "record":  # each protector hears a part of the traffic, and has a file of its own: FILE, FILE-1, ...
                value += service.name.removeprefix(service.program)
            command += [f"--{name}", value]
        return command

    def tls_files(self, name):
        return {"cert": self.tls / f"{name}.crt", "key": self.tls / f"{name}.key", "ca": self.tls / "ca.crt"}

    def consul_command(self):
        http, gossip, rpc = self.consul_ports()
        return [self.settings.consul, "agent", "-dev", "-node", self.consul_prefix(), "-bind", HOST, "-client", HOST,
                "-http-port", str(http), "-serf-lan-port", str(gossip), "-server-port", str(rpc), "-serf-wan-port", "-1",
                "-grpc-port", "-1", "-grpc-tls-port", "-1", "-dns-port", "-1", "-log-level", "warn",
                "-hcl", "disable_update_check = true"]

    def _services_list(self):
        lines = ["# Written by ./flashsale up. SERVICE ADDRESS [shard=N/COUNT] [admin=ADDRESS]"]
        for service in self.services():
            shard = f" shard={service.shard}/{service.shards}" if service.shards else ""
            lines.append(f"{service.program} {HOST}:{self.port(service)}{shard} admin={HOST}:{self.admin_port(service)}")
        return "\n".join(lines) + "\n"

    def _nginx_conf(self):
        gatekeeper = SERVICES[-1]
        settings = {"shards": f"{self.settings.inventory_shards} {self.settings.cart_shards}"} | dict(self.settings.of(gatekeeper))
        values = {name.replace("-", "_").upper(): settings.pop(name, standard) for name, standard in NGINX_SETTINGS.items()}
        proxies = values["TRUSTED_PROXIES"].split(",") if values["TRUSTED_PROXIES"] else []
        values |= {
            "TRUSTED_PROXIES": " ".join(f"set_real_ip_from {proxy.strip()};" for proxy in proxies),
            "LISTEN": f"{HOST}:{self.port(gatekeeper)}", "ADMIN": f"{HOST}:{self.admin_port(gatekeeper)}",
            "RUN": self.run / gatekeeper.name,
            "ACCESS_LOG": "off" if values["ACCESS_LOG"] == "off" else f'"{self.log / "access.log"}" flashsale buffer=64k flush=1s',
            "MODULE": self.build() / "bin" / "ngx_http_flashsale_module.so",
            "DISCOVERY": self._nginx_discovery(gatekeeper),
            "TLS": self._nginx_tls(gatekeeper),
            "ENVIRONMENT": "\n".join(f"env CONSUL_{name};" for name in CONSUL_VARIABLES),
            "SETTINGS": " ".join(f"flashsale_{name.replace('-', '_')} {value};" for name, value in settings.items()),
        }
        template = (PROJECT / "gatekeeper" / "nginx" / "nginx.conf.in").read_text()
        return AtTemplate(template).substitute(values)

    def _nginx_discovery(self, gatekeeper):
        how = f"flashsale_consul {self.consul_prefix()};" if self.settings.discovery == "consul" else f'flashsale_discovery "{self.etc / "services.list"}";'
        return f"{how} flashsale_advertise {HOST}:{self.port(gatekeeper)} {HOST}:{self.admin_port(gatekeeper)};"

    def _nginx_tls(self, gatekeeper):
        if not self.settings.tls:
            return ""
        return " ".join(f'flashsale_tls_{name} "{path}";' for name, path in self.tls_files(gatekeeper.name).items())

    def _supervisord_conf(self):
        open_files = min(16384, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        text = SUPERVISORD.format(
            home=escape(self.path), socket=escape(self.socket), open_files=open_files,
            user="user=root" if os.geteuid() == 0 else "")
        if self.settings.consul:  # first to come and last to go, so that services can leave it
            text += PROGRAM.format(
                name="consul", order=0, folder=escape(self.run / "consul"), log=escape(self.log / "consul.log"),
                command=escape(" ".join(quote(word) for word in self.consul_command())), environment="", signal="TERM")
        for order, service in enumerate(self.services(), start=1):
            text += PROGRAM.format(
                name=service.name, order=order, folder=escape(self.run / service.name), log=escape(self.log_file(service)),
                command=escape(" ".join(quote(word) for word in self.command(service))),
                environment=escape(self._environment(service)),
                # QUIT is nginx's graceful one; its children end with it.
                signal="QUIT" if service.name == "gatekeeper" else "TERM")
        return text

    def _environment(self, service):
        """Sanitizer builds: our module's runtime has to be in nginx before it is loaded."""
        variables = SANITIZER_OPTIONS.get(self.settings.preset, {}).copy()
        if service.name == "gatekeeper" and self.settings.preset in SANITIZER_LIBRARIES:
            variables["LD_PRELOAD"] = " ".join(library_path(name) for name in SANITIZER_LIBRARIES[self.settings.preset])
        if self.settings.consul:
            variables["CONSUL_HTTP_ADDR"] = f"{HOST}:{self.consul_ports()[0]}"
        return ",".join(f'{name}="{value}"' for name, value in variables.items())


SUPERVISORD = """\
; Written by ./flashsale up.
[unix_http_server]
file={socket}
chmod=0700

[supervisord]
directory={home}
logfile={home}/log/supervisord.log
logfile_maxbytes=10MB
logfile_backups=1
pidfile={home}/run/supervisord.pid
childlogdir={home}/log
identifier=flashsale
minfds={open_files}
{user}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""

# A program that ran for a second and dies is started again at once; one that dies sooner waits 1, 2, 3 ... seconds between attempts.
PROGRAM = """
[program:{name}]
command={command}
directory={folder}
priority={order}
autorestart=true
startsecs=1
startretries=1000
stopsignal={signal}
stopwaitsecs=20
killasgroup=true
environment={environment}
redirect_stderr=true
stdout_logfile={log}
stdout_logfile_maxbytes=50MB
stdout_logfile_backups=1
"""


# Settings of the gatekeeper that are nginx's own; all others become directives of the module.
NGINX_SETTINGS = {
    "workers": "1",              # on two cores one beats two
    "throttle-rate": "200000",   # requests a second, all clients together
    "throttle-burst": "20000",
    "trusted-proxies": "",       # addresses whose X-Forwarded-For counts, with commas
    "access-log": "on",          # a line a request, with the address; or off
}


SANITIZER_LIBRARIES = {"asan": ("libasan.so", "libubsan.so"), "tsan": ("libtsan.so",)}
# Reports go to the service's log, where the tests look for them. Our programs bake tsan's option in (rpc/tag.c says why); nginx starts before our module is in it.
# asan guesses where thread-local variables of loaded libraries are, and at times read nonsense in nginx and gave up its search for leaks.
SANITIZER_OPTIONS = {
    "asan": {
        "ASAN_OPTIONS": "intercept_tls_get_addr=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "LSAN_OPTIONS": f"print_suppressions=0:suppressions={PROJECT / 'scripts' / 'installation' / 'lsan.supp'}",
    },
    "tsan": {"TSAN_OPTIONS": "ignore_noninstrumented_modules=1"},
}


class AtTemplate(string.Template):
    """@NAME@ in a template; an unknown name is an error."""
    delimiter = "@"
    pattern = r"@(?:(?P<escaped>@)|(?P<named>[A-Z_]+)@|(?P<braced>(?!))|(?P<invalid>(?!)))"


def library_path(name):
    """Where the compiler has its run-time library."""
    return subprocess.run(["cc", f"-print-file-name={name}"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def escape(value):
    """supervisord expands % in its configuration."""
    return str(value).replace("%", "%%")


def quote(word):
    """A word of a supervisord command line, which is split as a shell would."""
    return word if word and all(c.isalnum() or c in "-_./:=,+%" for c in word) else '"' + word.replace('"', '\\"') + '"'


def write_whole(path, text):
    """Whole or not at all, for readers that watch the file."""
    temporary = path.with_name(path.name + ".new")
    temporary.write_text(text)
    os.replace(temporary, path)
