/*
 * values.h
 *		Values of pool_monitor.pools, each checked and put into its field of a
 *		declaration.
 */
#ifndef PM_VALUES_H
#define PM_VALUES_H

#include "datatype/timestamp.h"
#include "pools/patterns.h"
#include "pools/rules.h"

typedef struct PmColumn PmColumn;

/* A row. What is unset is zero: parts of two of them are compared as memory. */
typedef struct PmDeclaration
{
	PmPool		pool;
	int			priority;
	PmSpecificity specificity;	/* follows from the pool */
	bool		zone_is_unknown;	/* the window's: it stays shut */
} PmDeclaration;

/* Reads a value that is not NULL; returns what is wrong with it, or NULL. */
typedef const char *PmReader(const PmColumn *column, Datum value, PmDeclaration *declaration);

/* What a NULL means. */
typedef enum PmNull
{
	PM_NULL_REFUSED,
	PM_NULL_ANY,				/* no limit: the field stays zero */
	PM_NULL_NONE				/* there is none: the field, a number, is -1 */
} PmNull;

/* What is known of a column. They are listed, and this is explained, in columnlist.h. */
struct PmColumn
{
	const char *name;
	Oid			type;
	const char *type_name;
	Size		size;			/* of its field */
	PmReader   *read;
	Size		offset;			/* of its field, in PmDeclaration */
	PmNull		null;
	bool		matches;
	bool		(*acts) (const void *field);	/* NULL: never */
	const char *range;			/* "must be ..." */
	int64		least;
	int64		most;
};

#define PM_FIELD(column, declaration) ((void *) ((char *) (declaration) + (column)->offset))

/* For each kind of column; into a field that is zero. */
extern PmReader pm_read_name;
extern PmReader pm_read_pattern;
extern PmReader pm_read_ascii_pattern;
extern PmReader pm_read_network;
extern PmReader pm_read_int;
extern PmReader pm_read_bool;
extern PmReader pm_read_interval;
extern PmReader pm_read_mode;
extern PmReader pm_read_guard;
extern PmReader pm_read_window;

extern const char *pm_value_read(const PmColumn *column, Datum value, bool isnull, PmDeclaration *declaration);
extern bool pm_is_true(const void *field);
extern bool pm_is_terminate(const void *field);
extern bool pm_is_enforce(const void *field);
extern bool pm_interval_us(const Interval *interval, int64 *us);

#endif							/* PM_VALUES_H */
