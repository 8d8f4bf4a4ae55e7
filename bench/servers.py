"""A private server with the library and one without it, else the same."""

import os
import pathlib
import subprocess

COMMON = """
listen_addresses = ''
fsync = off
autovacuum = off
jit = off
log_connections = off
"""


def has(bindir, library):
    folder = subprocess.run(
        [os.path.join(bindir, "pg_config"), "--pkglibdir"], check=True, capture_output=True, text=True
    ).stdout.strip()
    return os.path.exists(os.path.join(folder, library + ".so"))


class Server:
    """name is a folder in scratch, and the socket's folder too. preload: the libraries."""

    def __init__(self, bindir, scratch, name, preload="", settings=""):
        self.bindir = bindir
        self.folder = pathlib.Path(scratch) / name
        self.data = self.folder / "data"
        self.folder.mkdir()
        self.run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "--locale=C")
        with open(self.data / "postgresql.conf", "a", encoding="ascii") as conf:
            conf.write(COMMON + f"unix_socket_directories = '{self.folder}'\n")
            conf.write(f"shared_preload_libraries = '{preload}'\n{settings}\n")

    def run(self, program, *args, env=None):
        command = [os.path.join(self.bindir, program), *map(str, args)]
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, env={**os.environ, **(env or {})}
        )
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(command)}: {done.stdout}{done.stderr}")
        return done.stdout

    def start(self):
        self.run("pg_ctl", "-D", self.data, "-l", self.folder / "log", "-w", "start")

    def stop(self):
        self.run("pg_ctl", "-D", self.data, "-m", "fast", "-t", "120", "-w", "stop")

    def fill(self):
        """Tables of pgbench, analysed; with the extension where it is loaded."""
        self.run("pgbench", *self.address(), "-i", "-q", "postgres")
        self.run("psql", *self.address(), "-d", "postgres", "-qc", "VACUUM ANALYZE")

    def declare(self, pools):
        """The extension, and so many pools, none of which is of pgbench."""
        self.run(
            "psql",
            *self.address(),
            "-d",
            "postgres",
            "-qc",
            "CREATE EXTENSION pool_monitor",
            "-c",
            "INSERT INTO pool_monitor.pools (name, application_name, workers, pool_size, max_overflow)"
            f" SELECT format('pool %s', i), format('application %s%%', i), 4, 5, 5"
            f" FROM generate_series(1, {pools}) AS i",
            "-c",
            "SELECT pool_monitor.reload()",
        )

    def guard(self, mode):
        """A pool of its own for the client "bench", which fits its limit, reserve and rate."""
        self.run(
            "psql",
            *self.address(),
            "-d",
            "postgres",
            "-qc",
            "INSERT INTO pool_monitor.pools (name, application_name, usename, pool_size, max_overflow, guard,"
            f" reserved, connect_rate) VALUES ('bench', 'bench', 'postgres', 5, 5, '{mode}', 5, 100000)",
            "-c",
            "SELECT pool_monitor.reload()",
        )

    def address(self):
        return ("-h", self.folder, "-U", "postgres")

    def dsn(self):
        return f"host={self.folder} dbname=postgres user=postgres"
