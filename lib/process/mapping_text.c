/* SPDX-License-Identifier: MIT */
#include "process/mapping_text.h"

#include "base/system.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

/* A number, and the character that must follow it. Capital digits begin the other lines of smaps.
 */
static bool parse(char **at, unsigned base, char after, uint64_t *ret)
{
	char *p = *at;
	uint64_t value = 0;

	for (;; p++) {
		unsigned digit;

		if (*p >= '0' && *p <= '9')
			digit = (unsigned)(*p - '0');
		else if (base == 16 && *p >= 'a' && *p <= 'f')
			digit = (unsigned)(*p - 'a') + 10;
		else
			break;
		value = value * base + digit;
	}
	if (p == *at || *p != after)
		return false;
	*at = p + 1;
	*ret = value;
	return true;
}

static bool parse_flags(char **at, uint32_t *ret)
{
	static const char letters[] = "rwxs";
	uint32_t flags = 0;

	for (int i = 0; i < 4; i++) {
		char c = (*at)[i];

		if (c == letters[i])
			flags |= UINT32_C(1) << i;
		else if (c != (i < 3 ? '-' : 'p'))
			return false;
	}
	if ((*at)[4] != ' ')
		return false;
	*at += 5;
	*ret = flags;
	return true;
}

/* The name stays as it is written: only a newline is escaped in it. */
bool pagescan_mapping_parse(char *line, struct pagescan_mapping *ret)
{
	uint64_t major, minor;

	if (!parse(&line, 16, '-', &ret->start) || !parse(&line, 16, ' ', &ret->end) ||
	    !parse_flags(&line, &ret->flags) || !parse(&line, 16, ' ', &ret->offset) ||
	    !parse(&line, 16, ':', &major) || !parse(&line, 16, ' ', &minor) ||
	    !parse(&line, 10, ' ', &ret->inode))
		return false;
	ret->dev_major = (uint32_t)major;
	ret->dev_minor = (uint32_t)minor;
	ret->name = line + strspn(line, " ");
	return true;
}

/* KernelPageSize of the mapping in smaps; 0 if it is not there (any more). */
static uint64_t read_page_size(int proc_fd, const struct pagescan_mapping *mapping)
{
	static const char key[] = "KernelPageSize:";
	struct pagescan_mapping current;
	struct pagescan_lines lines;
	bool is_ours = false;
	uint64_t size = 0;
	char *line;

	if (pagescan_lines_open(&lines, proc_fd, "smaps") < 0)
		return 0;
	while (!size && (line = pagescan_lines_next(&lines))) {
		if (pagescan_mapping_parse(line, &current))
			is_ours = current.start == mapping->start &&
				  current.dev_major == mapping->dev_major &&
				  current.dev_minor == mapping->dev_minor;
		else if (is_ours && strncmp(line, key, strlen(key)) == 0)
			size = strtoull(line + strlen(key), NULL, 10) * 1024;
	}
	pagescan_lines_close(&lines);
	return size;
}

/*
 * Only hugetlb has pages of another size, one size a file system, all of them
 * without a device behind. smaps is dear (it looks at every page), so it is read
 * once for each such file system that is met, and never for the others.
 */
static uint64_t find_page_size(struct pagescan_maps_text *text,
			       const struct pagescan_mapping *mapping)
{
	uint64_t device = makedev(mapping->dev_major, mapping->dev_minor), size;
	const struct pagescan_range *known;

	if (mapping->dev_major != 0 || mapping->inode == 0)
		return pagescan_page_size();
	known = pagescan_rangeset_find(&text->page_sizes, device);
	if (known && known->start <= device)
		return known->tag;
	size = read_page_size(text->proc_fd, mapping);
	if (!size)
		return pagescan_page_size();
	/* Without memory to note it, it is read again. */
	(void)pagescan_rangeset_add(&text->page_sizes, device, device + 1, size);
	return size;
}

int pagescan_maps_text_open(struct pagescan_maps_text *text, int proc_fd)
{
	*text = (struct pagescan_maps_text){.proc_fd = proc_fd};
	return pagescan_lines_open(&text->lines, proc_fd, "maps");
}

/* Memory that died reads as an empty file, or as one that ends early: look again. */
static int check_alive(struct pagescan_maps_text *text)
{
	int r = pagescan_lines_rewind(&text->lines);

	if (r < 0)
		return r;
	if (pagescan_lines_next(&text->lines))
		return 0;
	return text->lines.error ? text->lines.error : -ESRCH;
}

static int read_next(struct pagescan_maps_text *text, struct pagescan_mapping *ret)
{
	char *line;

	while ((line = pagescan_lines_next(&text->lines))) {
		if (!pagescan_mapping_parse(line, ret))
			return -EBADMSG;
		/* It belongs to the kernel, and the query does not know it either. */
		if (strcmp(ret->name, "[vsyscall]") != 0)
			return 1;
	}
	return text->lines.error ? text->lines.error : check_alive(text);
}

int pagescan_maps_text_find(struct pagescan_maps_text *text, uint64_t address,
			    struct pagescan_mapping *ret)
{
	int r = 1;

	if (!text->is_reading || address <= text->asked) {
		text->is_reading = false;
		r = pagescan_lines_rewind(&text->lines);
		if (r < 0)
			return r;
		text->answer.end = 0;
		r = 1;
	}
	while (r > 0 && text->answer.end <= address)
		r = read_next(text, &text->answer);
	text->is_reading = r > 0;
	text->asked = address;
	if (r <= 0)
		return r;
	text->answer.page_size = find_page_size(text, &text->answer);
	*ret = text->answer;
	return 1;
}

void pagescan_maps_text_close(struct pagescan_maps_text *text)
{
	pagescan_lines_close(&text->lines);
	pagescan_rangeset_free(&text->page_sizes);
}
