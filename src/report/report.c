/*
 * report.c
 *		report_page() and chart_lines(): a document of report_data() as a page of HTML, and
 *		one of its curves as text. Both take a document from anybody, and show what is in it.
 */
#include "postgres.h"

#include "base/result.h"
#include "mb/pg_wchar.h"
#include "report/parts.h"
#include "report/style.h"
#include "report/terminal.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

static void
put_page(PmPage *page, const PmReport *report)
{
	pm_html(page, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
			"<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">"
			"<meta name=\"color-scheme\" content=\"light dark\"><title>");
	pm_report_title(page, report);
	pm_html(page, "</title><style>\n");
	pm_html(page, pm_style_sheet);
	pm_html(page, "</style></head><body>");
	pm_html(page, pm_style_symbols);
	pm_html(page, "<main>\n");
	pm_part_head(page, report);
	pm_part_server(page, report);
	pm_part_pools(page, report);
	pm_part_undeclared(page, report);
	pm_part_incidents(page, report);
	pm_part_events(page, report);
	pm_part_decisions(page, report);
	pm_part_foot(page, report);
	pm_html(page, "</main></body></html>\n");
}

PG_FUNCTION_INFO_V1(pm_report_page);

/* report_page(data jsonb, format text) */
Datum
pm_report_page(PG_FUNCTION_ARGS)
{
	Jsonb	   *data = PG_GETARG_JSONB_P(0);
	char	   *format = text_to_cstring(PG_GETARG_TEXT_PP(1));
	PmReport	report;
	PmPage		page = {0};

	if (strcmp(format, "json") == 0)
		PG_RETURN_TEXT_P(cstring_to_text(JsonbToCString(NULL, &data->root, VARSIZE(data))));
	if (strcmp(format, "html") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("format must be html or json")));
	initStringInfo(&page.out);
	pm_report_begin(&report, &data->root);
	put_page(&page, &report);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(page.out.data, page.out.len));
}

PG_FUNCTION_INFO_V1(pm_chart_lines);

/* chart_lines(data jsonb, width int, ascii bool) */
Datum
pm_chart_lines(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	bool		has_blocks = GetDatabaseEncoding() == PG_UTF8 && pg_get_client_encoding() == PG_UTF8;
	int			width;
	List	   *lines;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		return (Datum) 0;
	width = PG_GETARG_INT32(1);
	if (width < PM_LEAST_WIDTH || width > PM_MOST_WIDTH)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("width must be between %d and %d", PM_LEAST_WIDTH, PM_MOST_WIDTH)));
	lines = pm_terminal_plot(&PG_GETARG_JSONB_P(0)->root, width, PG_GETARG_BOOL(2) || !has_blocks);
	foreach(cell, lines)
	{
		PmRow		row = {0};

		pm_put_text(&row, lfirst(cell));
		pm_put_row(result, &row);
	}
	return (Datum) 0;
}
