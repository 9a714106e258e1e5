/* SPDX-License-Identifier: MIT */
/* Userfaultfds of children, handed over by themselves, and what their memory looks like. */
#ifndef TESTS_UFFD_H
#define TESTS_UFFD_H

#include "uapi/pagemap.h"
#include "uapi/userfaultfd.h"
#include <pagescan/base.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* -1 if it is not permitted here. */
static inline int uffd_make(void)
{
	return (int)syscall(SYS_userfaultfd, O_CLOEXEC | UAPI_UFFD_USER_MODE_ONLY);
}

/* Make one and send it; an empty message if it cannot be had. */
static inline void uffd_send(int socket)
{
	int uffd = uffd_make();
	char byte = 'u', control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec iov = {&byte, 1};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

	if (uffd >= 0) {
		struct cmsghdr *header;

		message.msg_control = control;
		message.msg_controllen = sizeof(control);
		header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(header), &uffd, sizeof(int));
	}
	if (sendmsg(socket, &message, 0) != 1)
		_exit(1);
	if (uffd >= 0)
		close(uffd);
}

static inline int uffd_receive(int socket)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = {&byte, 1};
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	int uffd = -1;

	if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&message))
		memcpy(&uffd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
	return uffd;
}

/* Regions with all of @categories in [start, end); armed in the same step if @arm. */
static inline int uffd_scan(int pagemap_fd, uint64_t start, uint64_t end, uint64_t categories,
			    bool arm, struct pagescan_region *vec, size_t n)
{
	struct uapi_pm_scan_arg arg = {
		.size = sizeof(arg),
		.flags = arm ? UAPI_PM_SCAN_WP_MATCHING | UAPI_PM_SCAN_CHECK_WPASYNC : 0,
		.start = start,
		.end = end,
		.vec = (uintptr_t)vec,
		.vec_len = n,
		.category_mask = categories,
		.return_mask = categories,
	};

	return ioctl(pagemap_fd, UAPI_PAGEMAP_SCAN, &arg);
}

/* How many bytes of [start, end) have all of @categories. */
static inline uint64_t uffd_count(int pagemap_fd, uint64_t start, uint64_t end, uint64_t categories)
{
	static struct pagescan_region vec[65536];
	uint64_t bytes = 0;
	int n = uffd_scan(pagemap_fd, start, end, categories, false, vec, 65536);

	if (n < 0 || n == 65536)
		abort();
	for (int i = 0; i < n; i++)
		bytes += vec[i].end - vec[i].start;
	return bytes;
}

/* How many bytes of [start, end) have the mark of being armed. */
static inline uint64_t uffd_count_armed(int pagemap_fd, uint64_t start, uint64_t end)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), bytes = 0, entries[512];

	while (start < end) {
		uint64_t n = (end - start) / page < 512 ? (end - start) / page : 512;

		if (pread(pagemap_fd, entries, n * sizeof(*entries),
			  (off_t)(start / page * sizeof(*entries))) !=
		    (ssize_t)(n * sizeof(*entries)))
			abort();
		for (uint64_t i = 0; i < n; i++)
			bytes += entries[i] & UAPI_PAGEMAP_UFFD_WP ? page : 0;
		start += n * page;
	}
	return bytes;
}

/* Whether the entry of one page has the mark of being armed. */
static inline bool uffd_is_armed(int pagemap_fd, uint64_t address)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	address -= address % page;
	return uffd_count_armed(pagemap_fd, address, address + page) != 0;
}

#endif
