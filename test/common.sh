# shellcheck shell=bash
# What test/run, test/demo/run and bench/run share: choosing the server, building
# and installing from a copy, and becoming an ordinary user. Sourced from the
# top of the tree.

as_root() {
	if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# Runs a command as the user who may run a server, with HOME in the scratch
# folder. As root that is TEST_USER, postgres if not set.
drop() {
	if [ "$(id -u)" -eq 0 ]; then
		runuser -u "${TEST_USER:-postgres}" -- env HOME="$scratch" "$@"
	else
		env "$@"
	fi
}

# Sets PG_CONFIG, bindir, pgxs.
choose_server() {
	: "${PG_CONFIG:=$(for d in /usr/lib/postgresql/*/bin/pg_config; do [ -x "$d" ] && echo "$d"; done | sort -V | tail -n 1)}"
	[ -n "$PG_CONFIG" ] || PG_CONFIG=$(command -v pg_config)
	export PG_CONFIG
	bindir=$("$PG_CONFIG" --bindir)
	pgxs=$(realpath "$(dirname "$("$PG_CONFIG" --pgxs)")/../..")
	export bindir pgxs
}

# Debian's own Python: the one that sees what apt installs.
choose_python() {
	if [ -x /usr/bin/python3 ]; then echo /usr/bin/python3; else command -v python3; fi
}

# make_scratch PREFIX: a folder that the ordinary user can use, in $scratch.
make_scratch() {
	scratch=$(mktemp -d "/tmp/$1.XXXXXX")
	chmod 755 "$scratch"
}

# What the compiler is told on top of the server's own options.
copt="-Werror ${TEST_COPT:-}"

# Copies the tree to $scratch/tree, so that the tree stays clean and objects for
# different majors never mix, builds there without a warning, and installs.
build_and_install() {
	local tree=$scratch/tree
	mkdir "$tree"
	cp -r Makefile META.json pool_monitor.control README.md CHANGELOG.md LICENSE docs src sql expected test clients monitoring bench "$tree/" || return 1
	find "$tree" \( -name '*.o' -o -name '*.bc' -o -name '*.so' -o -name __pycache__ \) -prune -exec rm -rf {} +
	if ! make -s -j 2 -C "$tree" PG_CONFIG="$PG_CONFIG" COPT="$copt" with_llvm=no >"$scratch/build.log" 2>&1; then
		cat "$scratch/build.log"
		echo "the build failed" >&2
		return 1
	fi
	cat "$scratch/build.log"
	if ! as_root make -s -C "$tree" PG_CONFIG="$PG_CONFIG" with_llvm=no install >"$scratch/install.log" 2>&1; then
		cat "$scratch/install.log"
		echo "the installation failed" >&2
		return 1
	fi
	if [ "$(id -u)" -eq 0 ]; then chown -R "${TEST_USER:-postgres}" "$scratch"; fi
}

# A private server with this build and the extension, to be asked what it says; no TCP.
# private_settings are more lines of its configuration.
private_settings=
start_private_server() {
	drop "$bindir/initdb" -D "$scratch/data" -U postgres -A trust -E UTF8 --locale=C >"$scratch/initdb.log"
	cat >"$scratch/private.conf" <<-EOC
		listen_addresses = ''
		unix_socket_directories = '$scratch'
		fsync = off
		shared_preload_libraries = 'pool_monitor'
	EOC
	printf '%s\n' "$private_settings" >>"$scratch/private.conf"
	drop sh -c "cat '$scratch/private.conf' >>'$scratch/data/postgresql.conf'"
	drop "$bindir/pg_ctl" -D "$scratch/data" -l "$scratch/log" -w start >/dev/null
	private_sql -c 'CREATE EXTENSION pool_monitor'
}

private_sql() { drop "$bindir/psql" -XAtq -v ON_ERROR_STOP=1 -h "$scratch" -U postgres "$@" postgres; }

stop_private_server() {
	if [ -e "$scratch/data/postmaster.pid" ]; then drop "$bindir/pg_ctl" -D "$scratch/data" -m immediate -w stop >/dev/null || true; fi
}
