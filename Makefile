# pool_monitor: build with PGXS, e.g. make PG_CONFIG=/usr/lib/postgresql/17/bin/pg_config

MODULE_big = pool_monitor
# every file below src belongs to the library; which may include which: src/README.md
OBJS = $(patsubst $(srcdir)/%.c,%.o,$(sort $(wildcard $(srcdir)/src/*.c $(srcdir)/src/*/*.c)))
PM_HEADERS = $(wildcard $(srcdir)/src/*/*.h)

EXTENSION = pool_monitor
# the one place that says the version is the control file
EXTVERSION = $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" $(srcdir)/pool_monitor.control)
# The install script: its parts, joined in this order. Once a version is released, its
# script is committed as it is (then in DATA) and changes no more.
DATA_built = pool_monitor--$(EXTVERSION).sql
PM_SQL = header schedule pools live health counted guard timeline planning declared lint workload incident client overview memory judging fit simulate advice advice_sizes advice_declarations advice_refused advice_guard advice_sessions advice_told checklist can_retire act metrics report rights
PM_PARTS = $(PM_SQL:%=$(srcdir)/src/sql/parts/%.sql)

REGRESS = declarations views rights schedule sizing judging
REGRESS_OPTS = --inputdir=$(srcdir)
# needs the library preloaded, so only "make test" runs it
PM_ISOLATION = declarations

PG_CPPFLAGS = -I$(srcdir)/src -DPM_VERSION='"$(EXTVERSION)"'
# all warnings but those that PostgreSQL's own headers and habits raise
PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers
PG_CFLAGS += $(shell printf 'int main(void){return 0;}' | $(CC) -Werror -Wclobbered -x c -fsyntax-only - 2>/dev/null && echo -Wno-clobbered)

PG_CONFIG ?= $(shell ls -d /usr/lib/postgresql/*/bin/pg_config 2>/dev/null | sort -V | tail -n 1 | grep . || echo pg_config)
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
ifneq ($(wildcard $(shell $(PG_CONFIG) --includedir-server 2>/dev/null)/postgres.h),)
include $(PGXS)
# a build outside of the tree has no folders for the objects yet
ifneq ($(VPATH),)
$(shell mkdir -p $(sort $(dir $(OBJS))))
endif
ifneq ($(sort $(PM_PARTS)),$(sort $(wildcard $(srcdir)/src/sql/parts/*.sql)))
$(error PM_SQL in the Makefile and the files in src/sql/parts differ)
endif
# a file that is cut short is removed: PGXS says .DELETE_ON_ERROR
$(DATA_built): $(PM_PARTS) Makefile
	cat $(PM_PARTS) >$@

# the documents, in folders as here, so that their links hold
install: install-docs
uninstall: uninstall-docs
else ifneq ($(filter-out demo watch test matrix ubsan asserts bench format monitoring,$(or $(MAKECMDGOALS),all)),)
$(error no server headers for "$(PG_CONFIG)": install the development package of your server (Debian: postgresql-server-dev-NN and libkrb5-dev), or set PG_CONFIG)
endif

# Debian's PostgreSQL is built without dependency tracking
$(OBJS) $(OBJS:.o=.bc): $(PM_HEADERS) Makefile

# PGXS's DOCS would put them all into one folder, among those of other extensions
PM_DOCDIR = $(DESTDIR)$(docdir)/extension/pool_monitor

install-docs:
	$(MKDIR_P) '$(PM_DOCDIR)/docs/report' '$(PM_DOCDIR)/monitoring/zabbix'
	$(INSTALL_DATA) $(addprefix $(srcdir)/,README.md CHANGELOG.md LICENSE) '$(PM_DOCDIR)/'
	$(INSTALL_DATA) $(wildcard $(srcdir)/docs/*.md) $(addprefix $(srcdir)/docs/,bench.json bench.svg) '$(PM_DOCDIR)/docs/'
	$(INSTALL_DATA) $(wildcard $(srcdir)/docs/report/*) '$(PM_DOCDIR)/docs/report/'
	$(INSTALL_DATA) $(filter-out %.sql,$(wildcard $(srcdir)/monitoring/*.*)) '$(PM_DOCDIR)/monitoring/'
	$(INSTALL_DATA) $(wildcard $(srcdir)/monitoring/zabbix/*) '$(PM_DOCDIR)/monitoring/zabbix/'

uninstall-docs:
	rm -rf '$(PM_DOCDIR)'

.PHONY: demo watch test matrix ubsan asserts bench format monitoring install-docs uninstall-docs

# These do all their own set-up, also of this Makefile's server packages.
demo:
	test/demo/run

watch:
	test/demo/watch

test:
	test/run

matrix:
	test/matrix

ubsan:
	test/ubsan

asserts:
	test/asserts

bench:
	bench/run

format:
	test/format

monitoring:
	monitoring/generate
