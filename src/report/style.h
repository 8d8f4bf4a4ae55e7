/*
 * style.h
 *		How the page looks: its style sheet, and the patterns and symbols of its pictures.
 */
#ifndef PM_STYLE_H
#define PM_STYLE_H

extern const char *const pm_style_sheet;
extern const char *const pm_style_symbols;

#endif							/* PM_STYLE_H */
