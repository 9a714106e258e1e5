/* SPDX-License-Identifier: MIT */
#include "process/program.h"

#include "base/error.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

/* What exec searches without a PATH. */
#define DEFAULT_PATH "/bin:/usr/bin"

static int check_file(const char *path)
{
	struct stat info;

	if (stat(path, &info) < 0)
		return -errno;
	if (!S_ISREG(info.st_mode))
		return -EACCES;
	return access(path, X_OK) < 0 ? -errno : 0;
}

/* As exec does: go on after one that may not be started, but say that there was one. */
static int search(const char *name, char path[PATH_MAX])
{
	const char *at = getenv("PATH");
	int result = -ENOENT, r = -ENOENT;

	if (!at)
		at = DEFAULT_PATH;
	for (;; at++) {
		size_t length = strcspn(at, ":");
		const char *slash = length ? "/" : "";

		if (snprintf(path, PATH_MAX, "%.*s%s%s", (int)length, at, slash, name) < PATH_MAX)
			r = check_file(path);
		if (r == 0)
			return 0;
		if (r == -EACCES)
			result = r;
		at += length;
		if (*at == '\0')
			return result;
	}
}

/* Whether the kernel would not honour what the file gives, because we trace it (not as root). */
static bool loses_rights(const char *path)
{
	struct stat info;

	if (geteuid() == 0 || stat(path, &info) < 0)
		return false;
	if ((info.st_mode & S_ISUID) && info.st_uid != geteuid())
		return true;
	if ((info.st_mode & S_ISGID) && (info.st_mode & S_IXGRP) && info.st_gid != getegid())
		return true;
	return getxattr(path, "security.capability", NULL, 0) > 0;
}

int pagescan_program_find(const char *name, char path[PATH_MAX], struct pagescan_error *reterr)
{
	int r;

	if (strlen(name) >= PATH_MAX)
		return pagescan_error_set(reterr, -ENAMETOOLONG, "the program's name is too long");
	if (strchr(name, '/'))
		r = check_file(strcpy(path, name));
	else
		r = *name ? search(name, path) : -ENOENT;
	if (r == -ENOENT)
		return pagescan_error_set(reterr, r, "cannot start %s: there is no such program",
					  name);
	if (r < 0)
		return pagescan_error_set(reterr, r, "cannot start %s: %s", name, strerror(-r));
	if (loses_rights(path))
		return pagescan_error_set(
			reterr, -EPERM,
			"%s gets rights of its own when it starts, which the kernel "
			"denies to a traced program: run as root, or start it first "
			"and then attach",
			path);
	return 0;
}
