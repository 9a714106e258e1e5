/* SPDX-License-Identifier: MIT */
#include "process/mapping.h"

#include "base/system.h"
#include "process/mapping_text.h"
#include "process/process.h"
#include "uapi/pagemap.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct pagescan_maps_reader {
	bool can_query;
	/* Its descriptor serves the query too; its reading, names that are too long for that. */
	struct pagescan_maps_text text;
	char raw_name[PATH_MAX];
	char name[4 * PATH_MAX];
};

/* The text has a newline as four characters, and so do we: the answers are the same. */
static void escape_name(char *to, const char *from)
{
	for (; *from; from++) {
		if (*from == '\n') {
			memcpy(to, "\\012", 4);
			to += 4;
		} else {
			*to++ = *from;
		}
	}
	*to = '\0';
}

static int query(struct pagescan_maps_reader *reader, uint64_t address,
		 struct pagescan_mapping *ret)
{
	struct uapi_procmap_query q = {
		.size = sizeof(q),
		.query_flags = UAPI_PROCMAP_QUERY_COVERING_OR_NEXT_VMA,
		.query_addr = address,
		.vma_name_addr = (uintptr_t)reader->raw_name,
		.vma_name_size = sizeof(reader->raw_name),
	};

	if (ioctl(reader->text.lines.fd, UAPI_PROCMAP_QUERY, &q) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (q.vma_name_size == 0)
		reader->raw_name[0] = '\0';
	escape_name(reader->name, reader->raw_name);
	*ret = (struct pagescan_mapping){
		.start = q.vma_start,
		.end = q.vma_end,
		.offset = q.vma_offset,
		.inode = q.inode,
		.page_size = q.vma_page_size,
		.dev_major = q.dev_major,
		.dev_minor = q.dev_minor,
		.flags = (uint32_t)q.vma_flags & (PAGESCAN_MAPPING_READ | PAGESCAN_MAPPING_WRITE |
						  PAGESCAN_MAPPING_EXEC | PAGESCAN_MAPPING_SHARED),
		.name = reader->name,
	};
	return 1;
}

static bool probe_query(struct pagescan_maps_reader *reader)
{
	struct pagescan_mapping mapping;
	int r = query(reader, 0, &mapping);

	return r >= 0 || r == -ESRCH || r == -ENAMETOOLONG;
}

int pagescan_maps_reader_open(int proc_fd, enum pagescan_maps_source source,
			      struct pagescan_maps_reader **ret)
{
	struct pagescan_maps_reader *reader = calloc(1, sizeof(*reader));
	int r;

	if (!reader)
		return -ENOMEM;
	r = pagescan_maps_text_open(&reader->text, proc_fd);
	if (r == 0 && source != PAGESCAN_MAPS_TEXT)
		reader->can_query = probe_query(reader);
	if (r == 0 && source == PAGESCAN_MAPS_QUERY && !reader->can_query)
		r = -EOPNOTSUPP;
	if (r < 0) {
		pagescan_maps_reader_close(reader);
		return r;
	}
	*ret = reader;
	return 0;
}

int pagescan_maps_reader_find(struct pagescan_maps_reader *reader, uint64_t address,
			      struct pagescan_mapping *ret)
{
	int r = -ENAMETOOLONG;

	if (reader->can_query)
		r = query(reader, address, ret);
	if (r != -ENAMETOOLONG)
		return r;
	/* A path may be longer than PATH_MAX; only the text has it then. What it read before is
	 * old. */
	if (reader->can_query)
		reader->text.is_reading = false;
	return pagescan_maps_text_find(&reader->text, address, ret);
}

void pagescan_maps_reader_begin(struct pagescan_maps_reader *reader)
{
	if (reader)
		reader->text.is_reading = false;
}

void pagescan_maps_reader_close(struct pagescan_maps_reader *reader)
{
	if (!reader)
		return;
	pagescan_maps_text_close(&reader->text);
	free(reader);
}

static bool is_anonymous_name(const char *name)
{
	return name[0] == '\0' || strcmp(name, "[heap]") == 0 || strcmp(name, "[stack]") == 0 ||
	       strncmp(name, "[anon:", 6) == 0;
}

enum pagescan_memory_kind pagescan_mapping_kind(const struct pagescan_mapping *mapping)
{
	if (mapping->flags & PAGESCAN_MAPPING_SHARED)
		return PAGESCAN_MEMORY_SHARED;
	/* The vdso and its like have no inode either, and pages that are a file's in the kernel's
	 * eyes. */
	if (mapping->inode == 0 && is_anonymous_name(mapping->name))
		return PAGESCAN_MEMORY_ANON;
	return PAGESCAN_MEMORY_PRIVATE_FILE;
}

int pagescan_process_find_mapping(struct pagescan_process *process, uint64_t address,
				  struct pagescan_mapping *ret)
{
	if (!process || !ret)
		return -EINVAL;
	return pagescan_maps_reader_find(process->maps, address, ret);
}
