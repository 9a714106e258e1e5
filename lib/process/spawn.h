/* SPDX-License-Identifier: MIT */
/* A program that was started to be tracked, and the helper that keeps it stopped. */
#ifndef PROCESS_SPAWN_H
#define PROCESS_SPAWN_H

#include "process/attach-helper.h"
#include "process/helper.h"

/* Where the start has got to. Who waits for a state sleeps on it (futex). */
enum pagescan_spawn_state {
	PAGESCAN_SPAWN_BEGUN,  /* the child waits to be traced */
	PAGESCAN_SPAWN_TRACED, /* it may call exec */
	PAGESCAN_SPAWN_EXEC,   /* it did, and is stopped */
	PAGESCAN_SPAWN_DONE    /* job.result says how it went: 0, and it is kept stopped */
};

/* What the caller, the helper and (until its exec) the child share. */
struct pagescan_spawn {
	pid_t owner; /* the caller: a child made by fork has no say in it */
	bool has_helper;
	bool has_child;
	struct pagescan_helper helper;
	struct pagescan_attach_job job;
	uint32_t state;   /* enum pagescan_spawn_state */
	uint32_t child;   /* its id, as soon as it runs */
	int fds[3];       /* for the helper: a pipe from the caller, pidfds of caller and child */
	int go_fd;        /* the other end: a byte to have it attach, and one to let it run */
	int exec_error;   /* why the child could not become the program */
	uint64_t sigmask; /* of the caller, which the program inherits */
	const char *path;
	char *const *argv;
};

/* What the helper runs. The argument is the spawn. */
int pagescan_spawn_helper(void *spawn);

/* Let the program run, whatever became of it, and free this. Accepts NULL. */
void pagescan_spawn_release(struct pagescan_spawn *spawn);

/* Set one of the words that are shared, and wake who waits for it. */
void pagescan_spawn_set_word(uint32_t *word, uint32_t value);

/* Wait until the word is no longer @old, or for a tenth of a second. Returns the word. */
uint32_t pagescan_spawn_wait_word(uint32_t *word, uint32_t old);

#endif
