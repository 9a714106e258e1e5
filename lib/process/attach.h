/* SPDX-License-Identifier: MIT */
/* A userfaultfd that acts on a process: by its own call for ours, an injected one for another. */
#ifndef PROCESS_ATTACH_H
#define PROCESS_ATTACH_H

#include "process/process.h"

/*
 * Open process->registry, if it is not open yet, and note process->stopped_ns.
 * Errors as pagescan_tracker_open() states them, said in @reterr.
 */
int pagescan_attach(struct pagescan_process *process, uint32_t stop_timeout_ms,
		    struct pagescan_error *reterr);

/* Open process->registry with a userfaultfd, which is taken over whatever comes of it. */
int pagescan_attach_take(struct pagescan_process *process, int uffd, struct pagescan_error *reterr);

#endif
