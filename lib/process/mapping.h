/* SPDX-License-Identifier: MIT */
/* The two ways to walk a process's mappings; both give the same answers. */
#ifndef PROCESS_MAPPING_H
#define PROCESS_MAPPING_H

#include <pagescan/process.h>

enum pagescan_maps_source {
	PAGESCAN_MAPS_AUTO,  /* the query where the kernel has it */
	PAGESCAN_MAPS_QUERY, /* PROCMAP_QUERY, Linux 6.11 on */
	PAGESCAN_MAPS_TEXT   /* /proc/PID/maps */
};

struct pagescan_maps_reader;

/* @proc_fd is borrowed. 0 or a negative errno; -EOPNOTSUPP: QUERY was asked for, but is missing. */
int pagescan_maps_reader_open(int proc_fd, enum pagescan_maps_source source,
			      struct pagescan_maps_reader **ret);

/* As pagescan_process_find_mapping(). */
int pagescan_maps_reader_find(struct pagescan_maps_reader *reader, uint64_t address,
			      struct pagescan_mapping *ret);

/* What is found from now on is read anew. NULL is accepted. */
void pagescan_maps_reader_begin(struct pagescan_maps_reader *reader);

void pagescan_maps_reader_close(struct pagescan_maps_reader *reader);

#endif
