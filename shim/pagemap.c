/* SPDX-License-Identifier: MIT */
#include "pagemap.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#define PROC_MAGIC 0x9fa0

/* Cut the last name off @path, and return it; NULL if there is none. */
static char *cut_last(char *path)
{
	char *slash = strrchr(path, '/');

	if (!slash)
		return NULL;
	*slash = '\0';
	return slash + 1;
}

static pid_t parse_pid(const char *name)
{
	char *end;
	long pid = name ? strtol(name, &end, 10) : 0;

	return pid > 0 && pid <= INT_MAX && !*end ? (pid_t)pid : 0;
}

/* .../PID/pagemap or .../PID/task/TID/pagemap. 0: neither. */
static pid_t parse(char *path)
{
	const char *name = cut_last(path), *upper;
	pid_t pid;

	if (!name || strcmp(name, "pagemap") != 0)
		return 0;
	pid = parse_pid(cut_last(path));
	upper = strrchr(path, '/');
	if (pid && upper && strcmp(upper, "/task") == 0) {
		(void)cut_last(path);
		return parse_pid(cut_last(path));
	}
	return pid;
}

/* What the kernel says where a process is gone: the name, and this behind it. */
static bool cut_deleted(char *path)
{
	static const char mark[] = " (deleted)";
	size_t length = strlen(path), n = sizeof(mark) - 1;

	if (length < n || strcmp(path + length - n, mark) != 0)
		return false;
	path[length - n] = '\0';
	return true;
}

/* Of dead memory nothing is read (R11.7). A file that may not be read is trusted. */
static bool is_dead(int fd)
{
	uint64_t entry;

	return pread(fd, &entry, sizeof(entry), 0) == 0;
}

int pagescan_shim_whose_pagemap(int fd, pid_t *ret)
{
	char link[40], path[PATH_MAX];
	struct statfs fs;
	ssize_t n;
	bool is_deleted;
	int flags = fcntl(fd, F_GETFL, 0l);

	if (flags < 0 || (flags & O_PATH))
		return -EBADF;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < 0 || fstatfs(fd, &fs) < 0 || fs.f_type != PROC_MAGIC)
		return -ENOTTY;
	path[n] = '\0';
	is_deleted = cut_deleted(path);
	*ret = parse(path);
	if (*ret == 0)
		return -ENOTTY;
	if (is_deleted || is_dead(fd))
		*ret = 0;
	return 0;
}
