/*
 * shmem.h
 *		The modules' parts of shared memory.
 *
 * Each module that has one exports a PmSection, owns what lies in it, its pointer
 * there and its locks, all of which are in the tranche "pool_monitor". The list is in
 * pool_monitor.c. Who holds which lock for how long, and why no LWLock is taken inside
 * another: src/README.md.
 *
 * The memory is zero at first, and a section's init() writes only what has to be something
 * else: a page that nobody has touched is not there. Zero is a valid value of an
 * atomic, not of an LWLock.
 */
#ifndef PM_SHMEM_H
#define PM_SHMEM_H

#include "lib/stringinfo.h"

typedef struct PmSection
{
	const char *name;
	Size		(*size) (void);
	/* sets the module's pointer */
	void		(*attach) (void *memory);
	/* in the postmaster, when all are attached: what zeroes do not say */
	void		(*init) (void);

	/*
	 * writes which settings make it large; returns the bytes explained. NULL:
	 * the rest
	 */
	Size		(*explain) (StringInfo text);
} PmSection;

/* False where the library was not preloaded: then all sections' pointers are NULL. */
extern bool pm_preloaded;

extern void pm_shmem_install(const PmSection *const *sections, int n);
extern int	pm_tranche(void);
extern Size pm_shmem_size(void);
extern void pm_require_preload(void);

#endif							/* PM_SHMEM_H */
