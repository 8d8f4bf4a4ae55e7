/*
 * guc.h
 *		The settings, pool_monitor.*; ranges and defaults are in guc.c.
 */
#ifndef PM_GUC_H
#define PM_GUC_H

#define PM_MOST_POOLS	1000	/* that max_pools can be */
#define PM_MOST_APPLICATIONS 10000	/* that max_applications can be */
#define PM_MOST_CLIENT_PROCESSES 1000	/* that max_client_processes can be:
										 * all are looked at under a lock */

extern char *pm_database;		/* where the declarations are read */
extern int	pm_sample_interval; /* ms */
extern int	pm_status_hold;		/* ms */
extern bool pm_recycle_enabled; /* the kill switch */
extern int	pm_recycle_interval;	/* ms */
extern int	pm_recycle_limit;
extern int	pm_recycle_margin;	/* percent of pool_recycle */
extern char *pm_protected_roles;	/* list of role names */
extern int	pm_headroom_percent;
extern int	pm_connection_budget;	/* -1: usable less headroom */
extern int	pm_max_pools;
extern int	pm_max_applications;
extern int	pm_max_client_processes;
extern int	pm_max_events;
extern int	pm_history_minutes;
extern int	pm_history_hours;
extern int	pm_save_interval;	/* s */
extern bool pm_notify_events;
extern bool pm_guard_enabled;	/* the guard's kill switch */
extern int	pm_undeclared_guard;	/* PmGuardMode */
extern int	pm_undeclared_budget;	/* -1: none */
extern int	pm_undeclared_connect_rate; /* a second; -1: any */

extern bool pm_undeclared_is_limited(void);
extern int	pm_usable_connections(void);
extern int	pm_server_budget(void);
extern int64 pm_max_connections_for(int64 connections);
extern void pm_guc_define(void);

#endif							/* PM_GUC_H */
