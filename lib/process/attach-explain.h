/* SPDX-License-Identifier: MIT */
/* Why attaching failed, for a person. */
#ifndef PROCESS_ATTACH_EXPLAIN_H
#define PROCESS_ATTACH_EXPLAIN_H

#include "process/attach-helper.h"
#include "process/process.h"

/* @r is what the call userfaultfd failed with. Fills @reterr and returns the error to return. */
int pagescan_explain_call(int r, struct pagescan_error *reterr);

/* @r is what attaching failed with, at job->step. */
int pagescan_explain_attach(struct pagescan_process *process, const struct pagescan_attach_job *job,
			    int r, struct pagescan_error *reterr);

#endif
