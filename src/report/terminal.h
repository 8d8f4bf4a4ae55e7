/*
 * terminal.h
 *		A pool's curve as lines of text.
 */
#ifndef PM_TERMINAL_H
#define PM_TERMINAL_H

#include "nodes/pg_list.h"
#include "report/document.h"

#define PM_LEAST_WIDTH	40
#define PM_MOST_WIDTH	400

extern List *pm_terminal_plot(PmDoc whose, int width, bool ascii);

#endif							/* PM_TERMINAL_H */
