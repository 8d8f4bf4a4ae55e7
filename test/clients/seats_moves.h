/*
 * seats_moves.h
 *		For seats.c: those that move from one pool to another. Pools 0, 1 and 2 are anybody's
 *		while it runs, and empty before and after.
 */
#ifndef SEATS_MOVES_H
#define SEATS_MOVES_H

extern int	seats_shared_used(void);
extern int	check_moves(double seconds);

#endif							/* SEATS_MOVES_H */
