/*
 * agenda.c
 *		What is to come in a simulation, the next first.
 */
#include "postgres.h"

#include "planning/agenda.h"

/* In the current memory context. */
void
pm_agenda_init(PmAgenda *agenda)
{
	agenda->n = 0;
	agenda->room = 1024;
	agenda->all = palloc(sizeof(PmDue) * agenda->room);
}

void
pm_agenda_add(PmAgenda *agenda, double at, int process)
{
	int			i = agenda->n++;

	if (i == agenda->room)
	{
		agenda->room *= 2;
		agenda->all = repalloc_huge(agenda->all, sizeof(PmDue) * agenda->room);
	}
	while (i > 0 && agenda->all[(i - 1) / 2].at > at)
	{
		agenda->all[i] = agenda->all[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	agenda->all[i] = (PmDue)
	{
		.at = at,.process = process
	};
}

/* There must be one. */
PmDue
pm_agenda_take(PmAgenda *agenda)
{
	PmDue	   *all = agenda->all;
	PmDue		next = all[0];
	PmDue		moved = all[--agenda->n];
	int			i = 0;
	int			child;

	while ((child = 2 * i + 1) < agenda->n)
	{
		if (child + 1 < agenda->n && all[child + 1].at < all[child].at)
			child++;
		if (all[child].at >= moved.at)
			break;
		all[i] = all[child];
		i = child;
	}
	all[i] = moved;
	return next;
}

void
pm_agenda_free(PmAgenda *agenda)
{
	pfree(agenda->all);
}
