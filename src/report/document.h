/*
 * document.h
 *		Reading the document of a report. What is not there, or is of another kind, is none.
 */
#ifndef PM_DOCUMENT_H
#define PM_DOCUMENT_H

#include "datatype/timestamp.h"
#include "utils/jsonb.h"

/* An object or an array; NULL: none, of which nothing is there. */
typedef JsonbContainer * PmDoc;

extern PmDoc pm_doc_at(PmDoc object, const char *key);
extern char *pm_doc_text(PmDoc object, const char *key);
extern double pm_doc_number(PmDoc object, const char *key);
extern TimestampTz pm_doc_time(PmDoc object, const char *key);
extern double pm_doc_seconds(PmDoc object, const char *key);

extern int	pm_doc_length(PmDoc array);
extern PmDoc pm_doc_item(PmDoc array, int i);
extern double pm_doc_item_number(PmDoc array, int i);
extern char *pm_doc_item_text(PmDoc array, int i);

extern PmDoc pm_doc_object(PmDoc object, int i, char **key);
extern int	pm_doc_size(PmDoc object);

/* What reading one item takes, and writing of it, is let go before the next one. */
typedef struct PmScratch
{
	MemoryContext outer;
	MemoryContext own;
} PmScratch;

extern void pm_scratch_begin(PmScratch *scratch);
extern void pm_scratch_next(PmScratch *scratch);
extern void pm_scratch_end(PmScratch *scratch);

/* 0 where there is none. */
static inline double
pm_doc_count(PmDoc object, const char *key)
{
	double		number = pm_doc_number(object, key);

	return number > 0 ? number : 0;
}

static inline bool
pm_doc_has(PmDoc object, const char *key)
{
	return pm_doc_text(object, key) != NULL;
}

#endif							/* PM_DOCUMENT_H */
