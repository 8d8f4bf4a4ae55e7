/*
 * places_server.h
 *		Of the server, what the code under test in places.c calls; and where it stops.
 */
#ifndef PLACES_SERVER_H
#define PLACES_SERVER_H

/* the C library's own */
#undef printf
#undef snprintf

#define PLACES		8

/* Where a child stops once. */
typedef enum Point
{
	NOWHERE,
	WRITING,					/* it has claimed a place, and writes its name */
	LOOKING						/* it has entered that into the index */
} Point;

extern bool may_stop;			/* this is a child, in the code to be tested */
extern Point stop_at;

extern void stop_now_and_then(int once_in);

#endif							/* PLACES_SERVER_H */
