/* SPDX-License-Identifier: MIT */
/* What in a process can write to memory behind page protection's back. */
#include "process/lines.h"
#include "process/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* An io_uring that is busy says nothing of its buffers: ask again. */
#define MAX_URING_TRIES 50

static bool is_direct(int fdinfo_fd, const char *number)
{
	unsigned long long flags;

	return pagescan_lines_find_number(fdinfo_fd, number, "flags:", 8, &flags) == 0 &&
	       (flags & O_DIRECT);
}

static bool is_empty_slot(const char *line)
{
	/* Linux < 6.13 shows its stand-in, which lies at the end of the address space. */
	return strstr(line, "<none>") || strstr(line, " 0x0/0") ||
	       strstr(line, " 0xffffffffffffffff/");
}

/* The slots of its table that hold a buffer; -ENOENT if it does not say. */
static int count_uring_buffers(int fdinfo_fd, const char *number)
{
	static const char key[] = "UserBufs:";
	struct pagescan_lines lines;
	int r = pagescan_lines_open(&lines, fdinfo_fd, number), n = 0;
	char *line;

	if (r < 0)
		return r;
	while ((line = pagescan_lines_next(&lines))) {
		if (strncmp(line, key, strlen(key)) == 0)
			break;
	}
	r = line ? 0 : -ENOENT;
	if (line)
		n = atoi(line + strlen(key));
	for (int slots = n; slots > 0 && (line = pagescan_lines_next(&lines)); slots--) {
		if (is_empty_slot(line))
			n--;
	}
	pagescan_lines_close(&lines);
	return r < 0 ? r : n;
}

static uint32_t count_uring_buffers_patiently(int fdinfo_fd, const char *number)
{
	int n = -ENOENT;

	for (int i = 0; i < MAX_URING_TRIES && n < 0; i++)
		n = count_uring_buffers(fdinfo_fd, number);
	return n > 0 ? (uint32_t)n : 0;
}

static void look_at(const struct pagescan_process *process, int fd_fd, int fdinfo_fd,
		    const char *number, struct pagescan_pins *pins)
{
	char target[64];
	ssize_t n = readlinkat(fd_fd, number, target, sizeof(target) - 1);

	if (n < 0)
		return;
	target[n] = '\0';
	if (strcmp(target, "anon_inode:[userfaultfd]") == 0)
		pins->n_userfaultfds += !process->is_own || atoi(number) != process->registry.uffd;
	else if (strcmp(target, "anon_inode:[io_uring]") == 0)
		pins->n_uring_buffers += count_uring_buffers_patiently(fdinfo_fd, number);
	/* A pipe may have the flag too, and means something else by it. */
	else if (target[0] == '/')
		pins->n_direct_files += is_direct(fdinfo_fd, number);
}

static int look_at_all(const struct pagescan_process *process, int fdinfo_fd,
		       struct pagescan_pins *pins)
{
	int fd = openat(process->proc_fd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *entry;
	DIR *dir;

	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		int r = -errno;

		close(fd);
		return r;
	}
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] != '.')
			look_at(process, fd, fdinfo_fd, entry->d_name, pins);
	}
	closedir(dir);
	return 0;
}

int pagescan_process_find_pins(struct pagescan_process *process, struct pagescan_pins *ret)
{
	struct pagescan_pins pins = {0};
	unsigned long long kib;
	int fdinfo_fd, r;

	if (!process || !ret)
		return -EINVAL;
	r = pagescan_lines_find_number(process->proc_fd, "status", "VmPin:", 10, &kib);
	/* It has none once its memory is gone. */
	if (r < 0)
		return r == -ENOENT ? -ESRCH : r;
	pins.pinned = kib * 1024;
	fdinfo_fd = openat(process->proc_fd, "fdinfo", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fdinfo_fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	r = look_at_all(process, fdinfo_fd, &pins);
	close(fdinfo_fd);
	/* Of another program by now, or of a dying one: then it would be half of the truth. */
	if (r == 0 && pagescan_process_get_state(process) != PAGESCAN_PROCESS_RUNNING)
		r = -ESRCH;
	if (r == 0)
		*ret = pins;
	return r == -ENOENT ? -ESRCH : r;
}
