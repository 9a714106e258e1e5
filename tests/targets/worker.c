/* SPDX-License-Identifier: MIT */
/*
 * A program to be looked at. It writes memory, knows what must stand there, and
 * tells at the end whether it does: harm done to it shows.
 *
 *   worker write [THREADS]    every thread fills its own pages again and again
 *   worker churn              maps, fills, checks and unmaps as fast as it can
 *   worker mappings N         keeps N mappings
 *   worker still              touches a few kinds of memory, then does nothing
 *   worker deny COMMAND...    runs a command that userfaultfd is denied to
 *
 * It says "ready", works until its standard input ends, then says "sound" or
 * "broken", and how many descriptors it has open.
 */
#include <dirent.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGES = 1024, MAX_THREADS = 64 };

static atomic_bool is_over;
static atomic_bool is_broken;
static size_t page_size;

static uint64_t next_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *state >> 33;
}

static void *map(size_t n_pages, int flags)
{
	void *memory = mmap(NULL, n_pages * page_size, PROT_READ | PROT_WRITE,
			    MAP_ANONYMOUS | flags, -1, 0);

	if (memory == MAP_FAILED) {
		perror("worker: mmap");
		exit(1);
	}
	return memory;
}

static uint64_t *word_of(char *memory, size_t page)
{
	return (uint64_t *)(memory + page * page_size + page % 64 * sizeof(uint64_t));
}

/* What each page holds is also kept by heart. */
static void *run_write(void *arg)
{
	uint64_t seed = (uintptr_t)arg, expected[PAGES] = {0};
	char *memory = map(PAGES, MAP_PRIVATE);

	while (!is_over) {
		size_t page = next_random(&seed) % PAGES;

		if (*word_of(memory, page) != expected[page])
			is_broken = true;
		*word_of(memory, page) = expected[page] = next_random(&seed);
		if (page % 256 == 0)
			usleep(100);
	}
	for (size_t page = 0; page < PAGES; page++) {
		if (*word_of(memory, page) != expected[page])
			is_broken = true;
	}
	return NULL;
}

static void *run_churn(void *arg)
{
	uint64_t seed = (uintptr_t)arg;

	while (!is_over) {
		size_t n_pages = 1 + next_random(&seed) % 64;
		char *memory = map(n_pages, seed % 3 ? MAP_PRIVATE : MAP_SHARED);

		for (size_t page = 0; page < n_pages; page++)
			*word_of(memory, page) = seed + page;
		for (size_t page = 0; page < n_pages; page++) {
			if (*word_of(memory, page) != seed + page)
				is_broken = true;
		}
		munmap(memory, n_pages * page_size);
	}
	return NULL;
}

/* Neighbours differ in what is allowed, so that they stay apart. */
static void make_mappings(size_t n)
{
	char *memory = map(n, MAP_PRIVATE);

	for (size_t i = 0; i < n; i++) {
		memory[i * page_size] = 1;
		if (i % 2 && mprotect(memory + i * page_size, page_size, PROT_READ)) {
			perror("worker: mprotect");
			exit(1);
		}
	}
}

static void make_kinds(void)
{
	volatile char *read_only = map(16, MAP_PRIVATE);
	char *shared = map(16, MAP_SHARED);
	char *mixed = map(64, MAP_PRIVATE);

	(void)read_only[3 * page_size];
	memset(shared, 1, 4 * page_size);
	for (size_t i = 0; i < 64; i += 2)
		mixed[i * page_size] = 1;
}

static int deny(char **command)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_userfaultfd, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
		perror("worker: seccomp");
		return 1;
	}
	execvp(command[0], command);
	perror("worker: exec");
	return 1;
}

static int count_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (dir && readdir(dir))
		n++;
	return n;
}

static void wait_for_end(void)
{
	char byte;

	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";
	size_t n = argc > 2 ? (size_t)atol(argv[2]) : 1;
	void *(*work)(void *) = NULL;
	pthread_t threads[MAX_THREADS];
	size_t n_threads = 0;

	page_size = (size_t)sysconf(_SC_PAGESIZE);
	if (!strcmp(mode, "deny") && argc > 2)
		return deny(argv + 2);
	if (!strcmp(mode, "write")) {
		work = run_write;
		n_threads = n < MAX_THREADS ? n : MAX_THREADS;
	} else if (!strcmp(mode, "churn")) {
		work = run_churn;
		n_threads = 1;
	} else if (!strcmp(mode, "mappings")) {
		make_mappings(n);
	} else if (!strcmp(mode, "still")) {
		make_kinds();
	} else {
		fprintf(stderr, "worker: no such mode\n");
		return 2;
	}
	for (size_t i = 0; i < n_threads; i++) {
		if (pthread_create(&threads[i], NULL, work, (void *)(i + 1)))
			return 1;
	}
	printf("ready\n");
	fflush(stdout);
	wait_for_end();
	is_over = true;
	for (size_t i = 0; i < n_threads; i++)
		pthread_join(threads[i], NULL);
	printf("%s %d\n", is_broken ? "broken" : "sound", count_descriptors());
	return is_broken;
}
