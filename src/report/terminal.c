/*
 * terminal.c
 *		A pool's curve as lines of text: the same figures, limits, scale and marks of time as
 *		in the page.
 *
 * Each column is a part of the span, in which busy and connections are filled up to the most
 * of a moment, by eighths of a line where the terminal has such blocks. Limits are dashes
 * behind. Columns in which nobody was watching are dotted from bottom to top; those in
 * which the pool was not declared have nothing but the limits.
 */
#include "postgres.h"

#include <math.h>

#include "mb/pg_wchar.h"
#include "report/picture.h"
#include "report/terminal.h"
#include "report/words.h"

#define LINES		12
#define MARGIN		6			/* of the scale, with the space after it */
#define TICKS_UP	4
#define PER_TICK	10			/* columns, at least */

#define BLOCKS		8
#define BETWEEN_KEYS	2

/* What the band means where it is the server's: conditions of a pool stand for its own. */
static const char *const server_bands[PM_NUM_BANDS] = {
	NULL, NULL, "ok", NULL, "no slot free", "over the connection budget", "full"
};

/* What is drawn with. */
typedef struct Ink
{
	const char *busy[BLOCKS + 1];	/* by eighths */
	const char *connections[BLOCKS + 1];
	const char *base;
	const char *ceiling;
	const char *gap;
	const char *bands[PM_NUM_BANDS];
} Ink;

static const Ink block_ink = {
	.busy = {" ", "\342\226\201", "\342\226\202", "\342\226\203", "\342\226\204", "\342\226\205", "\342\226\206", "\342\226\207", "\342\226\210"},
	.connections = {" ", "\342\226\221", "\342\226\221", "\342\226\221", "\342\226\221", "\342\226\221", "\342\226\221", "\342\226\221", "\342\226\221"},
	.base = "\342\224\210",.ceiling = "\342\224\200",.gap = "\342\224\212",
	.bands = {" ", " ", "\302\267", "o", "E", "O", "S"},
};

static const Ink ascii_ink = {
	.busy = {" ", "#", "#", "#", "#", "#", "#", "#", "#"},
	.connections = {" ", ".", ".", ".", ".", ".", ".", ".", "."},
	.base = "-",.ceiling = "=",.gap = ":",
	.bands = {" ", " ", ".", "o", "E", "O", "S"},
};

typedef struct Column
{
	bool		is_seen;
	double		busy;			/* most */
	double		connections;
	PmBand		band;
} Column;

typedef struct Canvas
{
	const PmPicture *picture;
	const Ink  *ink;
	bool		is_server;
	int			ncolumns;
	Column	   *columns;
	List	   *lines;
} Canvas;

/* The steps that fall on it; one at least. */
static Column
column_of(const PmPicture *picture, int i, int n)
{
	Column		column = {0};
	int			from = (int64) i * picture->n / n;
	int			to = Max((int64) (i + 1) * picture->n / n, from + 1);

	for (int s = from; s < to; s++)
	{
		column.band = Max(column.band, picture->bands[s]);
		column.busy = fmax(column.busy, picture->figures[PM_MOST_BUSY][s]);
		column.connections = fmax(column.connections, picture->figures[PM_MOST_CONNECTIONS][s]);
	}
	column.is_seen = column.band >= PM_BAND_OK;
	return column;
}

/* In eighths of the line that begins this far up; what is not nothing is seen. */
static int
eighths(const Canvas *canvas, double figure, int line)
{
	double		height = Min(figure / canvas->picture->scale.top, 1) * LINES * BLOCKS;

	if (figure > 0 && height < 1)
		height = 1;
	return Min(Max((int) rint(height) - line * BLOCKS, 0), BLOCKS);
}

/* A limit that goes through this line; NULL: none. */
static const char *
limit_in(const Canvas *canvas, int line)
{
	const PmPicture *picture = canvas->picture;

	for (int i = picture->nlimits - 1; i >= 0; i--)
	{
		const PmLimit *limit = &picture->limits[i];

		if (!limit->is_above && (int) ceil(limit->at / picture->scale.top * LINES) - 1 == line)
			return strncmp(limit->name, "base", 4) == 0 ? canvas->ink->base : canvas->ink->ceiling;
	}
	return NULL;
}

static const char *
cell(const Canvas *canvas, const Column *column, int line, const char *limit)
{
	int			busy = eighths(canvas, column->busy, line);
	int			connections = eighths(canvas, column->connections, line);

	if (column->band == PM_BAND_NONE)
		return canvas->ink->gap;
	if (busy > 0)
		return canvas->ink->busy[busy];
	if (limit != NULL)
		return limit;
	return canvas->ink->connections[connections];
}

static void
add_line(Canvas *canvas, StringInfo line)
{
	canvas->lines = lappend(canvas->lines, line->data);
}

/* The scale's marks are on the lines that they are nearest to. */
static void
put_lines(Canvas *canvas)
{
	const PmScale *scale = &canvas->picture->scale;

	for (int i = LINES - 1; i >= 0; i--)
	{
		double		mark = rint((i + 1) * scale->top / LINES / scale->step) * scale->step;
		bool		is_marked = (int) rint(mark / scale->top * LINES) - 1 == i && mark > 0;
		const char *limit = limit_in(canvas, i);
		StringInfo	line = makeStringInfo();

		appendStringInfo(line, "%*s ", MARGIN - 1, is_marked ? pm_number_words(mark) : "");
		for (int c = 0; c < canvas->ncolumns; c++)
			appendStringInfoString(line, cell(canvas, &canvas->columns[c], i, limit));
		add_line(canvas, line);
	}
}

static void
put_band(Canvas *canvas)
{
	StringInfo	line = makeStringInfo();

	appendStringInfo(line, "%*s ", MARGIN - 1, "");
	for (int c = 0; c < canvas->ncolumns; c++)
		appendStringInfoString(line, canvas->ink->bands[canvas->columns[c].band]);
	add_line(canvas, line);
}

/* Each label begins at its place, where the one before it has left room. */
static void
put_times(Canvas *canvas)
{
	const PmTimeTicks *ticks = &canvas->picture->ticks;
	StringInfo	line = makeStringInfo();

	for (int i = 0; i < ticks->n; i++)
	{
		int			place = MARGIN + pm_picture_place(canvas->picture, ticks->all[i].at) * canvas->ncolumns;

		if (place <= line->len && i > 0)
			continue;
		if (place + (int) strlen(ticks->all[i].label) > MARGIN + canvas->ncolumns)
			break;
		appendStringInfoSpaces(line, Max(place - line->len, 0));
		appendStringInfoString(line, ticks->all[i].label);
	}
	add_line(canvas, line);
}

/* In a line of its own where there is no room beside the last one. */
static void
put_key_item(Canvas *canvas, StringInfo *line, const char *item)
{
	if ((*line)->len > 0 && pg_mbstrlen((*line)->data) + BETWEEN_KEYS + pg_mbstrlen(item) > MARGIN + canvas->ncolumns)
	{
		add_line(canvas, *line);
		*line = makeStringInfo();
	}
	appendStringInfo(*line, "%*s%s", (*line)->len > 0 ? BETWEEN_KEYS : MARGIN, "", item);
}

static void
put_band_key(Canvas *canvas)
{
	const char *const *names = canvas->is_server ? server_bands : pm_band_names;
	StringInfo	line = makeStringInfo();

	for (int b = PM_BAND_OK; b < PM_NUM_BANDS; b++)
	{
		if (names[b] != NULL)
			put_key_item(canvas, &line, psprintf("%s %s", canvas->ink->bands[b], names[b]));
	}
	if (canvas->picture->unseen > 0)
		put_key_item(canvas, &line, psprintf("%s not watched", canvas->ink->gap));
	add_line(canvas, line);
}

/* What is drawn, below it. */
static void
put_key(Canvas *canvas)
{
	const PmPicture *picture = canvas->picture;
	StringInfo	line = makeStringInfo();

	put_key_item(canvas, &line, psprintf("%s busy", canvas->ink->busy[BLOCKS]));
	put_key_item(canvas, &line, psprintf("%s connections (most)", canvas->ink->connections[BLOCKS]));
	for (int i = picture->nlimits - 1; i >= 0; i--)
	{
		const PmLimit *limit = &picture->limits[i];

		put_key_item(canvas, &line, psprintf("%s %s %s%s", strncmp(limit->name, "base", 4) == 0 ? canvas->ink->base : canvas->ink->ceiling,
											 limit->name, pm_number_words(limit->at), limit->is_above ? " (far above)" : ""));
	}
	add_line(canvas, line);
	put_band_key(canvas);
}

/* Its name must be ASCII, as those of pools are. */
static void
put_title(Canvas *canvas, const char *name)
{
	const PmPicture *picture = canvas->picture;
	StringInfo	line = makeStringInfo();

	appendStringInfo(line, "%s, %s to %s", name, pm_moment_words(picture->from, false), pm_moment_words(picture->until, false));
	if (picture->peak_step >= 0)
		appendStringInfo(line, "; most %s at %s", pm_number_words(picture->peak), pm_clock_words(picture->peak_at, false));
	add_line(canvas, line);
}

/* Why there is nothing to be drawn. */
static char *
nothing(PmDoc whose, const char *name)
{
	if (pm_doc_has(whose, "declared") || name[0] == '(')
		return psprintf("%s: there is no history of this time", name);
	return psprintf("%s: no pool has this name, and none that had it is in the history of this time", name);
}

/*
 * whose: as a pool of report_data(); of the server, declared is usable and connection_budget. Lines of
 * no more than width characters, but for the first.
 */
List *
pm_terminal_plot(PmDoc whose, int width, bool ascii)
{
	PmPicture	picture;
	Canvas		canvas = {.picture = &picture,.ink = ascii ? &ascii_ink : &block_ink,.ncolumns = width - MARGIN};
	PmDoc		declared = pm_doc_at(whose, "declared");
	char	   *name = pm_doc_text(whose, "pool");

	if (name == NULL)
		name = "";
	canvas.is_server = strcmp(name, "(server)") == 0;
	if (!pm_picture_of(pm_doc_at(whose, "curve"), Min(canvas.ncolumns / PER_TICK, PM_MOST_TICKS), &picture) ||
		pm_picture_is_empty(&picture))
		return list_make1(nothing(whose, name));
	if (canvas.is_server)
	{
		pm_picture_limit(&picture, "usable", pm_doc_number(declared, "usable"));
		pm_picture_limit(&picture, "budget", pm_doc_number(declared, "connection_budget"));
	}
	else
		pm_picture_pool_limits(&picture, declared);
	pm_picture_scale(&picture, TICKS_UP);
	canvas.columns = palloc(canvas.ncolumns * sizeof(Column));
	for (int i = 0; i < canvas.ncolumns; i++)
		canvas.columns[i] = column_of(&picture, i, canvas.ncolumns);
	put_title(&canvas, name);
	put_lines(&canvas);
	put_band(&canvas);
	put_times(&canvas);
	put_key(&canvas);
	return canvas.lines;
}
