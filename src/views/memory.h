/*
 * memory.h
 *		What idle sessions hold of the machine's memory, known for a minute.
 */
#ifndef PM_MEMORY_H
#define PM_MEMORY_H

#include "base/shmem.h"

extern const PmSection pm_idle_memory_section;

#endif							/* PM_MEMORY_H */
