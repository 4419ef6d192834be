"""What a TLS connection costs a client, by instructions: a full handshake and a resumed one, with real chains.

The server is openssl's, in a process of its own. Root, intermediate and server; a client certificate of the same root.
"""
import json
import os
import re
import subprocess

FEW, MANY = 2, 5  # connections; the difference leaves out what a process costs
KEYS = {"ECDSA P-256": ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "RSA-2048": ["rsa:2048"]}
VERSIONS = {"TLS 1.3": "-tls1_3", "TLS 1.2": "-tls1_2"}
GOAL = 0.33  # of a full handshake


def command(*argv):
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(argv)}: exit {done.returncode}\n{done.stderr}")
    return done.stdout


class Chain:
    """Files of a root, an intermediate, a server for localhost and a client, all with keys of one kind."""

    def __init__(self, folder, kind):
        os.mkdir(folder)
        self.folder = folder
        self.kind = kind
        self.sign("root", None, "basicConstraints=critical,CA:TRUE")
        self.sign("between", "root", "basicConstraints=critical,CA:TRUE")
        self.sign("server", "between", "subjectAltName=DNS:localhost")
        self.sign("client", "root", "basicConstraints=CA:FALSE")

    def file(self, name):
        return os.path.join(self.folder, name)

    def sign(self, name, issuer, extension):
        key, request, cert, extensions = (self.file(name + end) for end in (".key", ".csr", ".pem", ".ext"))
        with open(extensions, "w") as file:
            file.write(extension + "\n")
        command("openssl", "req", "-new", "-newkey", *KEYS[self.kind], "-nodes", "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        os.chmod(key, 0o600)
        signer = ["-CA", self.file(issuer + ".pem"), "-CAkey", self.file(issuer + ".key"), "-CAcreateserial"] if issuer else ["-signkey", key]
        command("openssl", "x509", "-req", "-in", request, "-out", cert, "-days", "30", "-extfile", extensions, *signer)


class Server:
    def __init__(self, chain, version):
        self.process = subprocess.Popen(
            ["openssl", "s_server", "-accept", "127.0.0.1:0", "-www", version, "-cert", chain.file("server.pem"), "-key", chain.file("server.key"),
             "-cert_chain", chain.file("between.pem"), "-CAfile", chain.file("root.pem"), "-Verify", "2", "-verify_return_error"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True)
        for line in self.process.stdout:
            if line.startswith("ACCEPT"):
                self.port = line.strip().rpartition(":")[2]
                break
        else:
            raise SystemExit("openssl s_server did not begin")
        # What it says from now on is thrown away, lest the pipe be full.
        self.reader = subprocess.Popen(["cat"], stdin=self.process.stdout, stdout=subprocess.DEVNULL)

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.reader.wait()


def handshakes(program, folder):
    """{(key, version): {"full": instructions, "resumed": instructions}}, of one connection with its request."""
    figures = {}
    for kind in KEYS:
        chain = Chain(os.path.join(folder, "chain-" + kind.replace(" ", "-")), kind)
        for name, version in VERSIONS.items():
            server = Server(chain, version)
            try:
                figures[f"{kind}, {name}"] = {mode: per_connection(program, folder, chain, server, mode) for mode in ("full", "resumed")}
            finally:
                server.end()
    return figures


def per_connection(program, folder, chain, server, mode):
    counts = []
    for connections in (FEW, MANY):
        log = os.path.join(folder, "callgrind-tls.log")
        said = json.loads(command("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", f"--log-file={log}", program, server.port,
                                  chain.file("root.pem"), chain.file("client.pem"), chain.file("client.key"), mode.replace("resumed", "resume"), str(connections)))
        expected = {"full": connections, "resumed": 0} if mode == "full" else {"full": 1, "resumed": connections - 1}
        if said != expected:
            raise SystemExit(f"bench_tls: {said}, expected {expected}")
        with open(log) as file:
            counts.append(int(re.search(r"Collected : (\d+)", file.read()).group(1)))
    return (counts[1] - counts[0]) / (MANY - FEW)
