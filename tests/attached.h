/* SPDX-License-Identifier: MIT */
/* Attach to a process and let go of it again, and see that it is as it was. */
#ifndef TESTS_ATTACHED_H
#define TESTS_ATTACHED_H

#include "process/attach.h"
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* 0 and how long it stood still, or the error. Not for a process that ends meanwhile. */
static inline int attached_try(pid_t pid, struct pagescan_error *error, uint64_t *stopped_ns)
{
	struct pagescan_process *process;
	int r = pagescan_process_open(pid, &process, error);

	if (r < 0)
		return r;
	r = pagescan_attach(process, 30000, error); /* a loaded machine decides nothing */
	if (stopped_ns)
		*stopped_ns = process->stopped_ns;
	pagescan_registry_close(&process->registry);
	pagescan_process_close(process);
	return r;
}

/* Without what tracking needs, there is nothing to attach for; the own process tells. */
static inline void attached_skip_if_impossible(void)
{
	struct pagescan_error error = {0};

	if (attached_try(getpid(), &error, NULL) == -EOPNOTSUPP)
		skip_because("%s", error.text);
}

static inline void attached_once(pid_t pid)
{
	struct pagescan_error error = {0};

	if (attached_try(pid, &error, NULL) < 0)
		fail_msg("%s", error.text);
}

/* A file of /proc/PID, as text. Freed by the caller. */
static inline char *attached_read(pid_t pid, const char *name)
{
	size_t size = 0, capacity = 1 << 16;
	char path[128], *text = malloc(capacity);
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%.64s", (int)pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	while (fd >= 0 && (n = read(fd, text + size, capacity - size - 1)) > 0) {
		size += (size_t)n;
		if (capacity - size < 4096)
			text = realloc(text, capacity *= 2);
	}
	if (fd >= 0)
		close(fd);
	text[size] = '\0';
	return text;
}

/* A number from /proc/PID/status. */
static inline long attached_status(pid_t pid, const char *key)
{
	char *text = attached_read(pid, "status"), *at = strstr(text, key);
	long number = at ? strtol(at + strlen(key), NULL, 10) : -1;

	free(text);
	return number;
}

/* The entries of a directory of /proc/PID, in one line each. Freed by the caller. */
static inline char *attached_list(pid_t pid, const char *name)
{
	char path[128], target[256], *text = calloc(1, 1 << 20);
	const struct dirent *entry;
	size_t size = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/%.64s", (int)pid, name);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target));

		size += (size_t)sprintf(text + size, "%s %.*s\n", entry->d_name, n > 0 ? (int)n : 0,
					target);
	}
	if (dir)
		closedir(dir);
	return text;
}

/* What a process has that attaching could leave something in. */
struct attached_state {
	char *maps;
	char *fds;
	char *tasks;
	char *children;
};

static inline struct attached_state attached_state(pid_t pid)
{
	char path[128];

	snprintf(path, sizeof(path), "task/%d/children", (int)pid);
	return (struct attached_state){
		.maps = attached_read(pid, "maps"),
		.fds = attached_list(pid, "fd"),
		.tasks = attached_list(pid, "task"),
		.children = attached_read(pid, path),
	};
}

/* It is as it was, and nobody traces it. */
static inline void attached_assert_same(pid_t pid, struct attached_state *before)
{
	struct attached_state after = attached_state(pid);

	assert_string_equal(after.maps, before->maps);
	assert_string_equal(after.fds, before->fds);
	assert_string_equal(after.tasks, before->tasks);
	assert_string_equal(after.children, before->children);
	assert_int_equal(attached_status(pid, "TracerPid:"), 0);
	free(after.maps);
	free(after.fds);
	free(after.tasks);
	free(after.children);
}

static inline void attached_state_free(struct attached_state *state)
{
	free(state->maps);
	free(state->fds);
	free(state->tasks);
	free(state->children);
}

/* Wait until a thread of a process sleeps in a system call; any one for -1. */
static inline void attached_wait_call(pid_t pid, long number)
{
	for (int i = 0; i < 10000; i++) {
		char *text = attached_read(pid, "syscall"), *end;
		long now = strtol(text, &end, 10);
		bool is_there = end != text && (number < 0 ? now >= 0 : now == number);

		free(text);
		if (is_there)
			return;
		usleep(1000);
	}
	fail_msg("process %d is not in system call %ld", (int)pid, number);
}

#endif
