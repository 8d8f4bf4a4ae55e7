/*
 * replay.h
 *		Shared memory of the library, for the files of this one.
 */
#ifndef REPLAY_H
#define REPLAY_H

#include "accounts/account.h"
#include "history/history.h"

extern PmHistory *replay_history_memory(void);
extern PmAccounts *replay_accounts_memory(void);
extern int	replay_find_series(const PmHistory *history, const char *pool);

#endif							/* REPLAY_H */
