/*
 * html.h
 *		Writing HTML. Whatever is not ours goes through pm_html_text() or _name(): it is
 *		right in an element and in an attribute in quotes.
 */
#ifndef PM_HTML_H
#define PM_HTML_H

#include "lib/stringinfo.h"

/* The page that is being written. */
typedef struct PmPage
{
	StringInfoData out;
	int			pictures;		/* so far: for their ids */
} PmPage;

extern void pm_html(PmPage *page, const char *html);
extern void pm_htmlf(PmPage *page, const char *format,...) pg_attribute_printf(2, 3);
extern void pm_html_text(PmPage *page, const char *text);
extern void pm_html_name(PmPage *page, const char *text);

/* A table: its head, then cells, row after row. */
extern void pm_table_begin(PmPage *page, const char *caption, const char *const *titles, int n);
extern void pm_table_end(PmPage *page);
extern void pm_cell(PmPage *page, const char *title, const char *text);
extern void pm_cell_name(PmPage *page, const char *title, const char *text);

#endif							/* PM_HTML_H */
