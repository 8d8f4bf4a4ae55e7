/*
 * nameindex.h
 *		Which of many has a name. In this process's memory, for once.
 */
#ifndef PM_NAMEINDEX_H
#define PM_NAMEINDEX_H

typedef struct PmNamePlace
{
	const char *name;			/* NULL: free */
	uint32		hash;
	int			value;
} PmNamePlace;

typedef struct PmNameIndex
{
	uint32		mask;
	PmNamePlace *places;
} PmNameIndex;

/* Allocates in the current memory context, for so many names at most. */
extern void pm_name_index_init(PmNameIndex *index, int most);

/* No allocation. The name stays where it is; it has not been added yet. */
extern void pm_name_index_add(PmNameIndex *index, const char *name, int value);

/* Its value; -1: there is none. */
extern int	pm_name_index_find(const PmNameIndex *index, const char *name);

#endif							/* PM_NAMEINDEX_H */
