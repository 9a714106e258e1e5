/* SPDX-License-Identifier: MIT */
/* What can be found out about a process before any of its threads is stopped. */
#ifndef PROCESS_ATTACH_PLAN_H
#define PROCESS_ATTACH_PLAN_H

#include "process/attach-helper.h"
#include "process/process.h"

/*
 * Choose the threads that a stop disturbs least, and find a system call
 * instruction. Errors as pagescan_tracker_open() states them.
 */
int pagescan_attach_plan(struct pagescan_process *process, struct pagescan_attach_job *job);

/* Find a system call instruction in the process's memory. 0, -ENOEXEC or -ESRCH. */
int pagescan_attach_find_instruction(struct pagescan_process *process, uint64_t *ret);

/* Linux 6.9 on: descriptors can be taken from a thread that has its own. */
bool pagescan_attach_has_thread_fd(void);

/* Who traces it; 0 for nobody. */
pid_t pagescan_attach_get_tracer(struct pagescan_process *process);

/* Close what the plan opened. */
void pagescan_attach_plan_done(struct pagescan_attach_job *job);

#endif
