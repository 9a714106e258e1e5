/* SPDX-License-Identifier: MIT */
#include "process/smaps.h"

#include "process/mapping_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The totals of memory that is mapped by huge entries. */
static const char *const huge_keys[] = {"AnonHugePages:", "ShmemPmdMapped:", "FilePmdMapped:"};

static const char flags_key[] = "VmFlags:";

void pagescan_smaps_begin(struct pagescan_smaps *smaps)
{
	smaps->is_reading = false;
}

static void read_huge(const char *line, struct pagescan_smaps_mapping *mapping)
{
	for (size_t i = 0; i < sizeof(huge_keys) / sizeof(huge_keys[0]); i++) {
		size_t length = strlen(huge_keys[i]);

		if (strncmp(line, huge_keys[i], length) == 0)
			mapping->huge += strtoull(line + length, NULL, 10) * 1024;
	}
}

/* Two letters each, and a space behind each. */
static void read_flags(const char *at, struct pagescan_smaps_mapping *mapping)
{
	for (at += strspn(at, " "); at[0] && at[1]; at += 2, at += strspn(at, " ")) {
		mapping->is_pfnmap |= strncmp(at, "pf", 2) == 0;
		mapping->is_uffd_wp |= strncmp(at, "uw", 2) == 0;
	}
}

/* The flags are a mapping's last line. */
static int read_next(struct pagescan_smaps *smaps)
{
	struct pagescan_smaps_mapping *answer = &smaps->answer;
	struct pagescan_mapping head;
	char *line;

	while ((line = pagescan_lines_next(&smaps->lines))) {
		if (pagescan_mapping_parse(line, &head)) {
			*answer = (struct pagescan_smaps_mapping){.start = head.start,
								  .end = head.end};
		} else if (strncmp(line, flags_key, strlen(flags_key)) == 0) {
			read_flags(line + strlen(flags_key), answer);
			return 1;
		} else {
			read_huge(line, answer);
		}
	}
	return smaps->lines.error;
}

static int begin_reading(struct pagescan_smaps *smaps, int proc_fd)
{
	int r;

	smaps->answer = (struct pagescan_smaps_mapping){0};
	if (smaps->is_open) {
		r = pagescan_lines_rewind(&smaps->lines);
		return r < 0 ? r : 1;
	}
	r = pagescan_lines_open(&smaps->lines, proc_fd, "smaps");
	smaps->is_open = r == 0;
	return r < 0 ? r : 1;
}

int pagescan_smaps_find(struct pagescan_smaps *smaps, int proc_fd, uint64_t address,
			struct pagescan_smaps_mapping *ret)
{
	int r = 1;

	if (!smaps->is_reading || address < smaps->asked)
		r = begin_reading(smaps, proc_fd);
	/* A kernel may lack it, or a sandbox hide it: then it tells of no mapping. */
	if (r == -ENOENT || r == -EACCES)
		return 0;
	while (r > 0 && smaps->answer.end <= address)
		r = read_next(smaps);
	smaps->is_reading = r > 0;
	smaps->asked = address;
	if (r > 0)
		*ret = smaps->answer;
	return r;
}

void pagescan_smaps_close(struct pagescan_smaps *smaps)
{
	if (smaps->is_open)
		pagescan_lines_close(&smaps->lines);
	smaps->is_open = false;
}
