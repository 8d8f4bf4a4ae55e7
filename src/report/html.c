/*
 * html.c
 *		Writing HTML, in ASCII alone: what is not is written as a reference to its
 *		character, so the page says the same in whatever encoding it arrives.
 *
 * Names are the clients' to choose. Markup and quotes become references. What is not to be
 * seen, or turns the direction of what stands around it, is shown as \uNNNN (and a backslash
 * that could be taken for one of these too): two names are never shown alike. Bytes that are
 * no character of the database's encoding are \xNN. A name is in <bdi> besides: letters that
 * run from right to left do not move what follows.
 */
#include "postgres.h"

#include <ctype.h>

#include "catalog/namespace.h"
#include "mb/pg_wchar.h"
#include "report/html.h"

#define MOST_CONVERTED	1000000 /* bytes */

void
pm_html(PmPage *page, const char *html)
{
	appendStringInfoString(&page->out, html);
}

void
pm_htmlf(PmPage *page, const char *format,...)
{
	for (;;)
	{
		va_list		args;
		int			needed;

		va_start(args, format);
		needed = appendStringInfoVA(&page->out, format, args);
		va_end(args);
		if (needed == 0)
			return;
		enlargeStringInfo(&page->out, needed);
	}
}

/* Not to be seen, or seen as something else; what turns directions is among these. */
static bool
is_hidden(pg_wchar c)
{
	return c < ' ' || (c >= 0x7F && c <= 0xA0) || c == 0xAD || c == 0x34F || c == 0x61C || c == 0x115F || c == 0x1160 ||
		c == 0x17B4 || c == 0x17B5 || (c >= 0x180B && c <= 0x180F) || (c >= 0x2000 && c <= 0x200F) ||
		(c >= 0x2028 && c <= 0x202F) || (c >= 0x205F && c <= 0x206F) || c == 0x3000 || c == 0x3164 ||
		(c >= 0xD800 && c <= 0xF8FF) || (c >= 0xFE00 && c <= 0xFE0F) || c == 0xFEFF || c == 0xFFA0 ||
		(c >= 0xFFF0 && c <= 0xFFFF) || c >= 0xE0000;
}

/* Marks that stand on the letter before them. Many of them cover the lines around. */
static bool
is_mark(pg_wchar c)
{
	return (c >= 0x300 && c <= 0x36F) || (c >= 0x483 && c <= 0x489) || (c >= 0x1AB0 && c <= 0x1AFF) ||
		(c >= 0x1DC0 && c <= 0x1DFF) || (c >= 0x20D0 && c <= 0x20FF) || (c >= 0xFE20 && c <= 0xFE2F);
}

/* Does it begin as what is shown for something else? */
static bool
looks_escaped(const unsigned char *c)
{
	return c[0] == '\\' && (c[1] == 'u' || c[1] == 'x') && isxdigit(c[2]) && isxdigit(c[3]);
}

static void
put_character(StringInfo out, pg_wchar c)
{
	switch (c)
	{
		case '&':
			appendStringInfoString(out, "&amp;");
			break;
		case '<':
			appendStringInfoString(out, "&lt;");
			break;
		case '>':
			appendStringInfoString(out, "&gt;");
			break;
		case '"':
			appendStringInfoString(out, "&#34;");
			break;
		case '\'':
			appendStringInfoString(out, "&#39;");
			break;
		default:
			if (is_hidden(c) || is_mark(c))
				appendStringInfo(out, "\\u%04x", c);
			else if (c > '~')
				appendStringInfo(out, "&#%u;", c);
			else
				appendStringInfoChar(out, (char) c);
	}
}

static void
put_utf8(StringInfo out, const unsigned char *c)
{
	while (*c != '\0')
	{
		int			len = pg_utf_mblen(c);

		if ((int) strnlen((const char *) c, len) < len || !pg_utf8_islegal(c, len))
			appendStringInfo(out, "\\x%02x", *c++);
		else
		{
			if (looks_escaped(c))
				appendStringInfoString(out, "\\u005c");
			else
				put_character(out, utf8_to_unicode(c));
			c += len;
		}
	}
}

/* Of whatever the database's encoding has, what is not ASCII. */
static void
put_bytes(StringInfo out, const unsigned char *c)
{
	for (; *c != '\0'; c++)
	{
		if (IS_HIGHBIT_SET(*c))
			appendStringInfo(out, "\\x%02x", *c);
		else if (looks_escaped(c))
			appendStringInfoString(out, "\\u005c");
		else
			put_character(out, *c);
	}
}

/* NULL: it cannot be said in UTF-8. Valid in the database's encoding. */
static const char *
as_utf8(const char *text, int encoding)
{
	Oid			conversion = encoding == PG_UTF8 ? InvalidOid : FindDefaultConversionProc(encoding, PG_UTF8);
	int			len = strlen(text);
	int			room = len * MAX_CONVERSION_GROWTH + 1;
	unsigned char *converted;

	if (encoding == PG_UTF8)
		return text;
	if (!OidIsValid(conversion) || len > MOST_CONVERTED)
		return NULL;
	converted = palloc(room);
	if (pg_do_encoding_conversion_buf(conversion, encoding, PG_UTF8, (unsigned char *) unconstify(char *, text), len,
									  converted, room, true) != len)
		return NULL;
	return (const char *) converted;
}

/* Byte for byte where it is not valid, or cannot be said in UTF-8. */
void
pm_html_text(PmPage *page, const char *text)
{
	int			encoding = GetDatabaseEncoding();
	bool		is_valid = encoding != PG_SQL_ASCII && pg_verify_mbstr(encoding, text, strlen(text), true);
	const char *utf8 = is_valid ? as_utf8(text, encoding) : NULL;

	if (utf8 != NULL || encoding == PG_UTF8)
		put_utf8(&page->out, (const unsigned char *) (utf8 ? utf8 : text));
	else
		put_bytes(&page->out, (const unsigned char *) text);
}

/* A name, or other text that somebody has chosen. NULL: a dash. */
void
pm_html_name(PmPage *page, const char *text)
{
	if (text == NULL)
	{
		pm_html(page, "&#8211;");
		return;
	}
	if (*text == '\0')
	{
		pm_html(page, "<i>(no name)</i>");
		return;
	}
	pm_html(page, "<bdi>");
	pm_html_text(page, text);
	pm_html(page, "</bdi>");
}

/* ---- tables ---- */

void
pm_table_begin(PmPage *page, const char *caption, const char *const *titles, int n)
{
	pm_htmlf(page, "<table><caption>%s</caption><thead><tr>", caption);
	for (int i = 0; i < n; i++)
		pm_htmlf(page, "<th scope=\"col\">%s</th>", titles[i]);
	pm_html(page, "</tr></thead><tbody>\n");
}

void
pm_table_end(PmPage *page)
{
	pm_html(page, "</tbody></table>\n");
}

/* Of ours, as HTML, and short; the title is for where there is no room for a head. */
void
pm_cell(PmPage *page, const char *title, const char *text)
{
	pm_htmlf(page, "<td class=\"%s\" data-of=\"%s\"><span>%s</span></td>", strcmp(text, "-") == 0 ? "no" : "v", title, text);
}

void
pm_cell_name(PmPage *page, const char *title, const char *text)
{
	pm_htmlf(page, "<td data-of=\"%s\"><span>", title);
	pm_html_name(page, text);
	pm_html(page, "</span></td>");
}
