# pool_monitor: build with PGXS, e.g. make PG_CONFIG=/usr/lib/postgresql/17/bin/pg_config

MODULE_big = pool_monitor
OBJS = src/account.o src/acting.o src/ask.o src/books.o src/bursts.o src/cleanup.o src/cursors.o \
	src/declarations.o src/errands.o src/events.o src/functions.o src/guc.o src/histogram.o \
	src/history.o src/holds.o src/ledger.o src/listen.o src/loader.o src/logins.o src/notifier.o \
	src/outcomes.o src/pauses.o src/planning.o src/pool_monitor.o src/recycler.o src/result.o \
	src/rows.o src/rules.o src/sampler.o src/scan.o src/schedule.o src/session.o src/shares.o \
	src/shmem.o src/signals.o src/sizing.o src/statfile.o src/statread.o src/stats.o src/table.o \
	src/tally.o src/verdicts.o src/views.o src/worker.o
PM_HEADERS = src/account.h src/acting.h src/ask.h src/bursts.h src/cleanup.h src/clock.h \
	src/compat.h src/cursors.h src/declarations.h src/errands.h src/events.h src/guc.h \
	src/histogram.h src/history.h src/holds.h src/ledger.h src/listen.h src/loader.h src/logins.h \
	src/notifier.h src/outcomes.h src/pauses.h src/place.h src/recycler.h src/result.h src/rows.h \
	src/rules.h src/sampler.h src/scan.h src/schedule.h src/session.h src/shares.h src/shmem.h \
	src/signals.h src/sizing.h src/statfile.h src/statformat.h src/table.h src/tally.h src/verdicts.h \
	src/worker.h

EXTENSION = pool_monitor
# the one place that says the version is the control file
EXTVERSION = $(shell sed -n "s/^default_version = '\(.*\)'/\1/p" $(srcdir)/pool_monitor.control)
DATA = src/sql/pool_monitor--1.0.sql

REGRESS = declarations views rights schedule sizing
REGRESS_OPTS = --inputdir=$(srcdir)
# needs the library preloaded, so only "make test" runs it
PM_ISOLATION = declarations

PG_CPPFLAGS = -DPM_VERSION='"$(EXTVERSION)"'
# all warnings but those that PostgreSQL's own headers and habits raise
PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers
PG_CFLAGS += $(shell printf 'int main(void){return 0;}' | $(CC) -Werror -Wclobbered -x c -fsyntax-only - 2>/dev/null && echo -Wno-clobbered)

PG_CONFIG ?= $(shell ls -d /usr/lib/postgresql/*/bin/pg_config 2>/dev/null | sort -V | tail -n 1 | grep . || echo pg_config)
PGXS := $(shell $(PG_CONFIG) --pgxs 2>/dev/null)
ifneq ($(wildcard $(shell $(PG_CONFIG) --includedir-server 2>/dev/null)/postgres.h),)
include $(PGXS)
else ifneq ($(filter-out demo test matrix bench format,$(or $(MAKECMDGOALS),all)),)
$(error no server headers for "$(PG_CONFIG)": install the development package of your server (Debian: postgresql-server-dev-NN and libkrb5-dev), or set PG_CONFIG)
endif

# Debian's PostgreSQL is built without dependency tracking
$(OBJS) $(OBJS:.o=.bc): $(PM_HEADERS) Makefile

.PHONY: demo test matrix bench format

# These do all their own set-up, also of this Makefile's server packages.
demo:
	test/demo/run

test:
	test/run

matrix:
	test/matrix

bench:
	bench/run

format:
	test/format
