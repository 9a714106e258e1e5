/* SPDX-License-Identifier: MIT */
/* Asking: what a scan reports, where it ends, and what it refuses. */
#include "stranger.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

void stranger_get_and_clear(void)
{
	char *m = map_pages(N, true);
	int u = make_async();

	tell("register", register_wp(u, m, N * PAGE));
	tell_all("registered", pagemap, m, N);
	tell("protect", write_protect(u, m, N * PAGE, true));
	tell_written("armed", pagemap, m, N, 0);
	for (unsigned round = 0; round < 5; round++) {
		for (unsigned i = round; i < N; i += 5 + round)
			m[i * PAGE] = 2;
		m[N * PAGE - 1] = 1;
		tell_written("get", pagemap, m, N, round % 2 ? PM_WP : PM_WP | PM_CHECK);
		tell_written("again", pagemap, m, N, 0);
	}
	tell("unprotect", write_protect(u, m, 7 * PAGE, false));
	tell_all("unprotected", pagemap, m, N);
	tell("unregister", unregister(u, m, N / 2 * PAGE));
	tell_all("half", pagemap, m, N);
	tell_written("check", pagemap, m, N, PM_WP | PM_CHECK);
	tell_written("no check", pagemap, m, N, PM_WP);
	m[(N - 3) * PAGE] = 3;
	tell_written("other half", pagemap, m, N, PM_WP);
}

void stranger_arm_by_scan(void)
{
	char *m = map_pages(N, true);
	int u = make_async();
	struct pm_scan_arg arg = {
		.start = (uintptr_t)m, .end = (uintptr_t)m + N * PAGE, .flags = PM_WP};

	register_wp(u, m, N * PAGE);
	tell_written("first", pagemap, m, N, PM_WP | PM_CHECK);
	m[5 * PAGE] = 2;
	tell_written("second", pagemap, m, N, PM_WP);
	m[6 * PAGE] = 2;
	tell_scan("no vector", pagemap, m, arg);
	tell_written("third", pagemap, m, N, 0);
}

void stranger_check(void)
{
	char *m = map_pages(N, true);
	int u = make_async();

	tell_written("none", pagemap, m, N, PM_CHECK);
	register_wp(u, m, 16 * PAGE);
	tell_written("part", pagemap, m, N, PM_CHECK);
	tell_written("inside", pagemap, m, 16, PM_CHECK);
	tell_scan("empty", pagemap, m,
		  (struct pm_scan_arg){
			  .start = (uintptr_t)m, .end = (uintptr_t)m, .flags = PM_CHECK});
	tell_written("armed till there", pagemap, m, N, PM_CHECK | PM_WP);
	tell_all("all", pagemap, m, N);
}

void stranger_limits(void)
{
	char *m = map_pages(N, false);
	struct pm_scan_arg arg = {
		.start = (uintptr_t)m,
		.end = (uintptr_t)m + N * PAGE,
		.vec = 1,
		.category_mask = IS_PRESENT,
		.return_mask = IS_PRESENT,
	};

	for (unsigned i = 0; i < N; i += i % 5 == 3 ? 2 : 1)
		m[i * PAGE] = 1;
	for (unsigned pages = 0; pages < 14; pages += 2) {
		for (unsigned length = 1; length < 8; length += 3) {
			arg.max_pages = pages;
			arg.vec_len = length;
			tell_scan("limits", pagemap, m, arg);
		}
	}
}

void stranger_errors(void)
{
	char *m = map_pages(N, true);
	const struct pm_scan_arg good = {
		.start = (uintptr_t)m,
		.end = (uintptr_t)m + N * PAGE,
		.vec = 1,
		.vec_len = 8,
		.category_mask = IS_PRESENT,
		.return_mask = IS_PRESENT,
	};
	struct pm_scan_arg bad;

#define WITH(field, value)                                                                         \
	bad = good;                                                                                \
	bad.field = (value);                                                                       \
	tell_scan(#field " " #value, pagemap, m, bad)
	WITH(size, 88);
	WITH(size, 104);
	WITH(flags, 4);
	WITH(category_mask, 1ull << 40);
	WITH(category_inverted, 1ull << 63);
	WITH(return_mask, 1ull << 11);
	WITH(start, good.start + 1);
	WITH(end, good.end - 1);
	WITH(end, good.start - PAGE);
	WITH(end, ~0ull);
	WITH(start, 1ull << 63);
	WITH(vec, 0);
	WITH(vec, 16);
	WITH(vec, ~0ull - 4095);
	WITH(vec_len, 0);
	WITH(max_pages, ~0ull);
	tell("null", ioctl(pagemap, PAGEMAP_SCAN, NULL));
	tell("unreadable", ioctl(pagemap, PAGEMAP_SCAN, 16));
	bad = good;
	bad.size = sizeof(bad);
	bad.vec = 0;
	tell("closed", ioctl(777, PAGEMAP_SCAN, &bad));
	tell("pipe", ioctl(open("/dev/null", O_RDONLY), PAGEMAP_SCAN, &bad));
	tell("path", ioctl(open("/proc/self/pagemap", O_PATH), PAGEMAP_SCAN, &bad));
	tell("maps", ioctl(open("/proc/self/stat", O_RDONLY), PAGEMAP_SCAN, &bad));
	tell_scan("for writing", open("/proc/self/pagemap", O_WRONLY), m, good);
	tell_scan("thread's", open("/proc/thread-self/pagemap", O_RDONLY), m, good);
}

static char *shared;

static void *write_some(void *from)
{
	for (unsigned i = (unsigned)(uintptr_t)from; i < N; i += 4)
		shared[i * PAGE]++;
	return NULL;
}

void stranger_threads(void)
{
	pthread_t writers[3];
	int u = make_async();

	shared = map_pages(N, true);
	register_wp(u, shared, N * PAGE);
	write_protect(u, shared, N * PAGE, true);
	for (uintptr_t round = 0; round < 20; round++) {
		for (uintptr_t i = 0; i < 3; i++)
			pthread_create(&writers[i], NULL, write_some, (void *)i);
		for (unsigned i = 0; i < 3; i++)
			pthread_join(writers[i], NULL);
		tell_written("written by threads", pagemap, shared, N, PM_WP | PM_CHECK);
	}
}

static volatile bool is_over;

/* A writer has a byte of each page for itself. */
static void *write_on(void *mine)
{
	uint64_t at = (uintptr_t)mine;

	while (!is_over) {
		at = at * 6364136223846793005ull + 1442695040888963407ull;
		((volatile char *)shared)[(at >> 33) % N * PAGE + (uintptr_t)mine]++;
	}
	return NULL;
}

/* A copy that takes over what is reported is in the end the same (R7.7). */
void stranger_follow(void)
{
	struct page_region vec[N];
	struct pm_scan_arg arg = {
		.size = sizeof(arg),
		.flags = PM_WP | PM_CHECK,
		.vec = (uintptr_t)vec,
		.vec_len = N,
		.category_mask = IS_WRITTEN,
		.return_mask = IS_WRITTEN,
	};
	char *copy = malloc(N * PAGE);
	pthread_t writers[3];
	int u = make_async();

	shared = map_pages(N, true);
	arg.start = (uintptr_t)shared;
	arg.end = arg.start + N * PAGE;
	register_wp(u, shared, N * PAGE);
	for (uintptr_t i = 0; i < 3; i++)
		pthread_create(&writers[i], NULL, write_on, (void *)i);
	for (unsigned round = 0; round < 302; round++) {
		int n;

		if (round == 300) {
			is_over = true;
			for (unsigned i = 0; i < 3; i++)
				pthread_join(writers[i], NULL);
		}
		n = ioctl(pagemap, PAGEMAP_SCAN, &arg);
		if (n < 0)
			tell("scan", n);
		for (int i = 0; i < n; i++)
			memcpy(copy + (vec[i].start - arg.start), (void *)vec[i].start,
			       vec[i].end - vec[i].start);
	}
	tell("differs", memcmp(copy, shared, N * PAGE) != 0);
	tell_written("nothing is left", pagemap, shared, N, 0);
}

void stranger_another(void)
{
	char *m = map_pages(N, false), path[64];
	int ready[2], fd;
	pid_t pid;

	tell("pipe", pipe(ready));
	pid = fork();
	if (pid == 0) {
		for (unsigned i = 0; i < N; i += 3)
			m[i * PAGE] = 1;
		tell("ready", write(ready[1], "x", 1));
		pause();
	}
	tell("wait", read(ready[0], path, 1));
	snprintf(path, sizeof(path), "/proc/%d/pagemap", pid);
	fd = open(path, O_RDONLY);
	tell_scan("child's", fd, m,
		  (struct pm_scan_arg){
			  .start = (uintptr_t)m,
			  .end = (uintptr_t)m + N * PAGE,
			  .vec = 1,
			  .vec_len = 100,
			  .category_mask = IS_PRESENT,
			  .return_mask = IS_PRESENT | IS_WRITTEN | IS_FILE,
		  });
	tell_written("check", fd, m, N, PM_CHECK);
	tell_written("protect", fd, m, N, PM_WP);
	kill(pid, 9);
	waitpid(pid, NULL, 0);
	tell_written("dead", fd, m, N, 0);
	tell_scan("dead", fd, m, (struct pm_scan_arg){.start = 1});
}

/* More regions than the kernel gathers at a time. */
void stranger_many_regions(void)
{
	char *m = map_pages(2048, false);
	struct pm_scan_arg arg = {
		.start = (uintptr_t)m,
		.end = (uintptr_t)m + 2048 * PAGE,
		.vec = 1,
		.vec_len = 2000,
		.category_mask = IS_PRESENT,
		.return_mask = IS_PRESENT,
	};

	for (unsigned i = 0; i < 2048; i += 2)
		m[i * PAGE] = 1;
	tell("walk", tell_scan("all", pagemap, m, arg));
	arg.vec_len = 600;
	arg.max_pages = 590;
	tell("walk", tell_scan("some", pagemap, m, arg));
}
