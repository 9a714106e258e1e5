/* SPDX-License-Identifier: MIT */
/* Protecting through our userfaultfd, where we registered. */
#include "scan/view-procfs.h"

#include "uapi/userfaultfd.h"

#include <errno.h>
#include <sched.h>

/* How often to try again while mappings change: a moment each, unless someone reads no events. */
#define MAX_AGAIN 1000

static int write_protect(struct pagescan_view_procfs *v, uint64_t start, uint64_t end,
			 uint64_t mode)
{
	struct uapi_uffdio_writeprotect request = {{start, end - start}, mode};

	for (int i = 0; i < MAX_AGAIN; i++) {
		if (ioctl(v->process->registry.uffd, UAPI_UFFDIO_WRITEPROTECT, &request) == 0)
			return 0;
		if (errno != EAGAIN)
			return -errno;
		sched_yield();
	}
	return -EBUSY;
}

/*
 * The mapping is no longer what was found: older kernels take one of them at a
 * time. What cannot be protected although another part of the range can will be
 * told again.
 */
static int protect_by_mapping(struct pagescan_view_procfs *v, uint64_t start, uint64_t end)
{
	struct pagescan_mapping found;
	int result = -ENOENT;

	while (start < end) {
		uint64_t piece_end;
		int r = pagescan_process_find_mapping(v->process, start, &found);

		if (r <= 0 || found.start >= end)
			return r < 0 ? r : result;
		if (start < found.start)
			start = found.start;
		piece_end = found.end < end ? found.end : end;
		r = write_protect(v, start, piece_end, UAPI_UFFDIO_WRITEPROTECT_MODE_WP);
		if (r != -ENOENT)
			result = r;
		if (result < 0 && result != -ENOENT)
			return result;
		start = piece_end;
	}
	return result;
}

/* Exactly this range: a page more would be a write that nobody is told. */
int pagescan_view_procfs_protect(struct pagescan_view *view, uint64_t start, uint64_t end)
{
	struct pagescan_view_procfs *v = (struct pagescan_view_procfs *)view;
	int r = write_protect(v, start, end, UAPI_UFFDIO_WRITEPROTECT_MODE_WP);

	return r == -ENOENT ? protect_by_mapping(v, start, end) : r;
}

/* To take protection from one page splits the huge one; and it had none, or it would stay whole. */
int pagescan_view_procfs_split(struct pagescan_view *view, uint64_t address)
{
	struct pagescan_view_procfs *v = (struct pagescan_view_procfs *)view;
	uint64_t size = pagescan_view_procfs_block();
	int r = write_protect(v, address, address + pagescan_page_size(), 0);

	if (r < 0 && r != -ENOENT)
		return r;
	/* Even if it was not: its pages are looked at one by one from now on (R7.4). */
	v->split_block = address / size * size;
	v->n = 0;
	return 0;
}
