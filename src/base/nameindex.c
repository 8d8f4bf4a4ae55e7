/*
 * nameindex.c
 *		Which of many has a name: a hash table, half empty, looked through from where
 *		the name's hash says.
 */
#include "postgres.h"

#include "base/nameindex.h"
#include "common/hashfn.h"
#include "port/pg_bitutils.h"

static uint32
hash_of(const char *name)
{
	return hash_bytes((const unsigned char *) name, strlen(name));
}

void
pm_name_index_init(PmNameIndex *index, int most)
{
	uint32		size = pg_nextpower2_32(2 * most + 1);

	index->mask = size - 1;
	index->places = palloc0(size * sizeof(PmNamePlace));
}

void
pm_name_index_add(PmNameIndex *index, const char *name, int value)
{
	uint32		hash = hash_of(name);
	uint32		i = hash & index->mask;

	while (index->places[i].name != NULL)
		i = (i + 1) & index->mask;
	index->places[i] = (PmNamePlace)
	{
		.name = name,.hash = hash,.value = value
	};
}

int
pm_name_index_find(const PmNameIndex *index, const char *name)
{
	uint32		hash = hash_of(name);

	for (uint32 i = hash & index->mask; index->places[i].name != NULL; i = (i + 1) & index->mask)
	{
		if (index->places[i].hash == hash && strcmp(index->places[i].name, name) == 0)
			return index->places[i].value;
	}
	return -1;
}
