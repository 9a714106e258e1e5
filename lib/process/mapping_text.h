/* SPDX-License-Identifier: MIT */
/* Mappings from /proc/PID/maps, for kernels that cannot be asked for one (before Linux 6.11). */
#ifndef PROCESS_MAPPING_TEXT_H
#define PROCESS_MAPPING_TEXT_H

#include "base/rangeset.h"
#include "process/lines.h"
#include <pagescan/process.h>

struct pagescan_maps_text {
	int proc_fd; /* borrowed */
	struct pagescan_lines lines;
	bool is_reading;                     /* there is an answer, and lines below it may follow */
	uint64_t asked;                      /* for which address */
	struct pagescan_mapping answer;      /* its name lies in the buffer of lines */
	struct pagescan_rangeset page_sizes; /* of the devices seen so far */
};

/* The line of a mapping, here or in smaps; any other gives false. All but the page size. */
bool pagescan_mapping_parse(char *line, struct pagescan_mapping *ret);

/* As pagescan_maps_reader_open(). */
int pagescan_maps_text_open(struct pagescan_maps_text *text, int proc_fd);

/* As pagescan_maps_reader_find(). Addresses that rise are one reading of the file. */
int pagescan_maps_text_find(struct pagescan_maps_text *text, uint64_t address,
			    struct pagescan_mapping *ret);

void pagescan_maps_text_close(struct pagescan_maps_text *text);

#endif
