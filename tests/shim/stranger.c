/* SPDX-License-Identifier: MIT */
/*
 * A program that tracks its own writes, as one reads in the kernel's documentation:
 * stranger CASE.
 */
#include "kernel.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#define N 64u

static int pagemap;

static void get_and_clear(void)
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

static void arm_by_scan(void)
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

static void check(void)
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

static void limits(void)
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

static void errors(void)
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

static void descriptors(void)
{
	char *m = map_pages(N, true);
	int u = make_uffd(), early = dup(u), fds[6];

	tell("api on a copy", ask_async(early));
	tell("twice", ask_async(early));
	fds[0] = dup(early);
	tell("register", register_wp(fds[0], m, N * PAGE));
	fds[1] = dup2(fds[0], 100);
	fds[2] = dup3(fds[1], 101, O_CLOEXEC);
	fds[3] = fcntl(fds[2], F_DUPFD, 102);
	fds[4] = fcntl(fds[3], F_DUPFD_CLOEXEC, 110);
	fds[5] = (int)syscall(SYS_dup, fds[4]);
	for (unsigned i = 0; i < 5; i++)
		tell("fd", fds[i]), tell("close", close(fds[i]));
	tell("protect", write_protect(fds[5], m, N * PAGE, true));
	close(u);
	close(early);
	m[3 * PAGE] = 2;
	tell_written("get", dup(pagemap), m, N, PM_WP);
	tell("over it", dup2(pagemap, fds[5]));
	m[4 * PAGE] = 2;
	tell_all("closed by dup2", pagemap, m, N);
	tell("next", open("/dev/null", O_RDONLY));
}

static void close_many(void)
{
	char *m = map_pages(N, true);
	int u = make_async(), fd;

	fd = fcntl(pagemap, F_DUPFD, 200);
	register_wp(u, m, N * PAGE);
	write_protect(u, m, N * PAGE, true);
	tell("range", (long)syscall(SYS_close_range, 3, 199, 0));
	m[4 * PAGE] = 2;
	tell_all("closed", fd, m, N);
	u = make_async();
	register_wp(u, m, N * PAGE);
	write_protect(u, m, N * PAGE, true);
	for (int i = 3; i < 1024; i++)
		if (i != fd && i != u)
			close(i);
	m[4 * PAGE] = 2;
	tell_written("left", fd, m, N, PM_WP);
	closefrom(fd + 1);
	m[5 * PAGE] = 2;
	tell_written("left", fd, m, N, PM_WP);
}

static void by_number(void)
{
	char *m = map_pages(N, true);
	struct uffdio_api api = {0xAA, FEATURE_WP_ASYNC, 0};
	struct uffdio_register r = {{(uintptr_t)m, N * PAGE}, 2, 0};
	struct page_region vec[4] = {0};
	struct pm_scan_arg arg = {
		.size = sizeof(arg),
		.flags = PM_WP,
		.start = (uintptr_t)m,
		.end = (uintptr_t)m + N * PAGE,
		.vec = (uintptr_t)vec,
		.vec_len = 4,
		.category_mask = IS_WRITTEN,
		.return_mask = IS_WRITTEN,
	};
	int fd = (int)syscall(SYS_openat, AT_FDCWD, "/proc/self/pagemap", O_RDONLY);
	int u = (int)syscall(SYS_userfaultfd, USER_MODE_ONLY | O_CLOEXEC);

	tell("api", syscall(SYS_ioctl, u, UFFDIO_API, &api));
	tell("register", syscall(SYS_ioctl, u, UFFDIO_REGISTER, &r));
	tell("scan", syscall(SYS_ioctl, fd, PAGEMAP_SCAN, &arg));
	m[8 * PAGE] = 2;
	tell("scan", syscall(SYS_ioctl, fd, PAGEMAP_SCAN, &arg));
	tell_address(m, vec[0].start);
	arg.size = 3;
	tell("bad", syscall(SYS_ioctl, fd, PAGEMAP_SCAN, &arg));
	tell("close", syscall(SYS_close, u));
	tell_all("closed", fd, m, N);
	tell("again", syscall(SYS_close, u));
}

static void forks(void)
{
	char *m = map_pages(N, true);
	int u = make_async(), own;

	register_wp(u, m, N * PAGE);
	write_protect(u, m, N * PAGE, true);
	fflush(stdout);
	if (fork() == 0) {
		m[1 * PAGE] = 2;
		own = open("/proc/self/pagemap", O_RDONLY);
		tell_all("child", own, m, N);
		tell_written("parent", pagemap, m, N, 0);
		close(u);
		u = make_async();
		tell("register", register_wp(u, m, N * PAGE));
		tell_written("child arms", own, m, N, PM_WP | PM_CHECK);
		m[2 * PAGE] = 2;
		tell_written("child gets", own, m, N, PM_WP | PM_CHECK);
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
	tell_written("untouched", pagemap, m, N, 0);
	m[3 * PAGE] = 2;
	tell_written("written", pagemap, m, N, PM_WP);
	fflush(stdout);
	if (vfork() == 0) {
		close(u);
		_exit(0);
	}
	wait(NULL);
	m[4 * PAGE] = 2;
	tell_written("after vfork", pagemap, m, N, PM_WP);
	if (syscall(SYS_fork) == 0) {
		m[5 * PAGE] = 2;
		own = open("/proc/self/pagemap", O_RDONLY);
		u = make_async();
		tell("register", register_wp(u, m, N * PAGE));
		tell_written("forked by number", own, m, N, PM_WP | PM_CHECK);
		m[6 * PAGE] = 2;
		tell_written("forked by number", own, m, N, PM_WP | PM_CHECK);
		fflush(stdout);
		_exit(0);
	}
	wait(NULL);
	m[7 * PAGE] = 2;
	close(u);
	m[8 * PAGE] = 2;
	tell_all("closed", pagemap, m, N);
}

static char *shared;

static void *write_some(void *from)
{
	for (unsigned i = (unsigned)(uintptr_t)from; i < N; i += 4)
		shared[i * PAGE]++;
	return NULL;
}

static void threads(void)
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
static void follow(void)
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

/* R2.0: of memory that is gone some kernels find nothing, and others say ESRCH first of all. */
static void tell_dead(const char *what, int fd, const char *m, unsigned offset)
{
	struct pm_scan_arg arg = {
		.size = sizeof(arg),
		.start = (uintptr_t)m + offset,
		.end = (uintptr_t)m + N * PAGE,
		.category_mask = IS_PRESENT,
		.return_mask = IS_PRESENT,
	};
	int r = ioctl(fd, PAGEMAP_SCAN, &arg);
	bool is_gone = r < 0 ? errno == ESRCH || (offset && errno == EINVAL) : r == 0 && !offset;

	printf("%s: %s\n", what, is_gone ? "as gone" : "another answer");
}

static void another(void)
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
	tell_dead("dead", fd, m, 0);
	tell_dead("dead, bad argument", fd, m, 1);
}

static void api(void)
{
	static const uint64_t features[] = {
		0,          FEATURE_WP_ASYNC,
		1ull << 50, FEATURE_WP_ASYNC | 1ull << 50,
		1,          FEATURE_WP_ASYNC | FEATURE_WP_UNPOPULATED | 1ull << 12 | 1,
	};
	struct uffdio_api api;
	char *m = map_pages(4, true);

	for (unsigned i = 0; i < 2 * sizeof(features) / sizeof(features[0]); i++) {
		int u = make_uffd();

		tell("before", register_wp(u, m, PAGE));
		api = (struct uffdio_api){i % 2 ? 0xAA : 0xAB, features[i / 2], 5};
		for (unsigned again = 0; again < 2; again++) {
			tell("api", ioctl(u, UFFDIO_API, &api));
			printf("%llx %llx %llx\n", (unsigned long long)api.api,
			       (unsigned long long)api.features, (unsigned long long)api.ioctls);
			api = (struct uffdio_api){0xAA, features[i / 2], 5};
		}
		close(u);
	}
	tell("null", ioctl(make_uffd(), UFFDIO_API, NULL));
	tell("closed", ioctl(777, UFFDIO_API, &api));
	tell("pipe", ioctl(open("/dev/null", O_RDONLY), UFFDIO_API, &api));
}

static void registering(void)
{
	char *m = map_pages(N, true), *hole = map_pages(4, true);
	struct uffdio_register r = {{(uintptr_t)m, N * PAGE}, 2, 77};
	int u = make_async(), other = make_async();

	tell("register", ioctl(u, UFFDIO_REGISTER, &r));
	printf("ioctls %llx\n", (unsigned long long)r.ioctls);
	tell("again", register_wp(u, m, N * PAGE));
	tell("busy", register_wp(other, m, PAGE));
	tell("unaligned", register_wp(u, m + 1, PAGE));
	tell("short", register_wp(u, m, PAGE - 1));
	tell("zero", register_wp(u, m, 0));
	r.mode = 8;
	tell("mode", ioctl(u, UFFDIO_REGISTER, &r));
	r.mode = 0;
	tell("mode", ioctl(u, UFFDIO_REGISTER, &r));
	tell("null", ioctl(u, UFFDIO_REGISTER, NULL));
	munmap(hole, 4 * PAGE);
	tell("nothing", register_wp(u, hole, PAGE));
	tell("protect nothing", write_protect(u, hole, PAGE, true));
	tell("protect foreign", write_protect(other, m, PAGE, true));
	tell("protect", write_protect(u, m, PAGE, true));
	tell("unaligned", write_protect(u, m + 1, PAGE, true));
	tell("unknown", ioctl(u, 0xC018AA55ul, &r));
	tell("unregister", unregister(u, m, N * PAGE));
	tell("unregister", unregister(u, m, N * PAGE));
	tell_all("all", pagemap, m, N);
}

/* A range in which something of the shim's may lie. */
static void around(void)
{
	char *m = map_pages(N, true);
	int u = make_async(), v = make_async();
	struct pm_scan_arg arg = {.size = sizeof(arg), .flags = PM_WP};

	close(v);
	v = make_async();
	tell_all("before", pagemap, m, N);
	tell("register", register_wp(u, m - 512 * PAGE, (512 + N) * PAGE));
	tell("protect", write_protect(u, m, N * PAGE, true));
	m[3 * PAGE] = 2;
	tell_written("get", pagemap, m, N, PM_WP | PM_CHECK);
	/* What is there is not to be told, but may be armed. */
	arg.start = (uintptr_t)m - 512 * PAGE;
	arg.end = (uintptr_t)m;
	tell("below", ioctl(pagemap, PAGEMAP_SCAN, &arg));
	m[4 * PAGE] = 2;
	tell_written("get", pagemap, m, N, PM_WP | PM_CHECK);
	tell("free", register_wp(v, m, PAGE));
}

static void two_uffds(void)
{
	char *m = map_pages(N, true), *n = map_pages(N, true);
	int u = make_async(), v = make_async(), sync = make_uffd();
	struct uffdio_api api = {0xAA, 0, 0};

	register_wp(u, m, N * PAGE);
	register_wp(v, n, N * PAGE);
	tell_written("u", pagemap, m, N, PM_WP | PM_CHECK);
	tell_written("v", pagemap, n, N, PM_WP | PM_CHECK);
	m[2 * PAGE] = n[3 * PAGE] = 2;
	tell_written("u", pagemap, m, N, PM_WP | PM_CHECK);
	tell_written("v", pagemap, n, N, PM_WP | PM_CHECK);
	close(u);
	tell_written("u", pagemap, m, N, PM_WP | PM_CHECK);
	m[2 * PAGE] = n[4 * PAGE] = 2;
	tell_written("v", pagemap, n, N, PM_WP | PM_CHECK);
	tell("sync", ioctl(sync, UFFDIO_API, &api));
	tell("sync", register_wp(sync, m, N * PAGE));
	tell_all("sync", pagemap, m, N);
	tell_written("sync", pagemap, m, N, PM_CHECK);
}

static void empty_pages(void)
{
	char *m = map_pages(N, false);
	int u = make_async();

	m[0] = 1;
	register_wp(u, m, N * PAGE);
	tell_all("registered", pagemap, m, N);
	tell("protect", write_protect(u, m, N * PAGE, true));
	tell_all("markers", pagemap, m, N);
	printf("%d\n", m[3 * PAGE]);
	m[5 * PAGE] = 1;
	tell_all("read and written", pagemap, m, N);
	madvise(m + 4 * PAGE, 4 * PAGE, MADV_DONTNEED);
	tell_all("given back", pagemap, m, N);
	tell_written("get", pagemap, m, N, PM_WP | PM_CHECK);
	tell_all("armed", pagemap, m, N);
}

static void shared_memory(void)
{
	char *m = mmap(NULL, N * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int u = make_async();

	memset(m, 1, N / 2 * PAGE);
	tell("register", register_wp(u, m, N * PAGE));
	tell_written("first", pagemap, m, N, PM_WP | PM_CHECK);
	tell_all("armed", pagemap, m, N);
	m[3 * PAGE] = m[40 * PAGE] = 1;
	tell_written("second", pagemap, m, N, PM_WP | PM_CHECK);
	madvise(m, 8 * PAGE, MADV_DONTNEED);
	tell_all("zapped", pagemap, m, N);
}

static void changing_mappings(void)
{
	char *m = map_pages(N, true), *grown;
	int u = make_async();

	register_wp(u, m, N * PAGE);
	tell_written("first", pagemap, m, N, PM_WP | PM_CHECK);
	mmap(m, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	tell_all("replaced", pagemap, m, N);
	tell_written("replaced", pagemap, m, N, PM_CHECK);
	munmap(m + 8 * PAGE, 8 * PAGE);
	tell_written("unmapped", pagemap, m + 8 * PAGE, N - 8, PM_CHECK | PM_WP);
	mprotect(m + 16 * PAGE, PAGE, PROT_READ);
	tell_written("protected", pagemap, m + 16 * PAGE, 8, PM_CHECK | PM_WP);
	munmap(m + N * PAGE, PAGE);
	grown = mremap(m + 17 * PAGE, (N - 17) * PAGE, (N - 16) * PAGE, 0);
	tell("grown", grown == m + 17 * PAGE);
	m[N * PAGE] = 1;
	tell_written("grown", pagemap, m + 17 * PAGE, N - 16, PM_CHECK | PM_WP);
}

static void moving_mappings(void)
{
	char *m = map_pages(N, true);
	int u = make_async();

	register_wp(u, m, N * PAGE);
	tell_written("first", pagemap, m, N, PM_WP | PM_CHECK);
	m = mremap(m, N * PAGE, N * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, map_pages(N, false));
	tell_all("moved", pagemap, m, N);
}

/* Huge pages, where there are any: armed whole, written in one place, cut by limits. */
static void huge_pages(void)
{
	const uint64_t huge = 512 * PAGE;
	char *m = mmap(NULL, 4 * huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int u = make_async();

	m = (char *)(((uintptr_t)m + huge - 1) / huge * huge);
	madvise(m, 2 * huge, MADV_HUGEPAGE);
	memset(m, 1, 2 * huge);
	register_wp(u, m, 2 * huge);
	tell_written("first", pagemap, m, 1024, PM_WP | PM_CHECK);
	m[5 * PAGE] = 2;
	tell_written("second", pagemap, m, 1024, PM_WP | PM_CHECK);
	tell("protect", write_protect(u, m, 2 * huge, false));
	tell_written("cut", pagemap, m + 512 * PAGE, 17, PM_WP | PM_CHECK);
	tell_all("after", pagemap, m, 1024);
}

static void hugetlb(void)
{
	const uint64_t huge = 512 * PAGE;
	char *m = mmap(NULL, 2 * huge, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	int u = make_async();

	if (m == MAP_FAILED) {
		printf("no huge pages\n");
		return;
	}
	memset(m, 1, 2 * huge);
	tell("register", register_wp(u, m, 2 * huge));
	tell_written("cut", pagemap, m + 256 * PAGE, 768, PM_WP | PM_CHECK);
	tell_written("whole", pagemap, m, 1024, PM_WP | PM_CHECK);
	m[700 * PAGE] = 2;
	tell_written("one", pagemap, m, 1024, PM_WP | PM_CHECK);
	tell_all("after", pagemap, m, 1024);
}

/* More regions than the kernel gathers at a time. */
static void many_regions(void)
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

/* What was given back to malloc and the like goes without a call that anyone sees. */
static void *grow(void *context)
{
	memset(context, 1, N * PAGE);
	return NULL;
}

static void reused(void)
{
	int u = make_async();

	for (unsigned i = 0; i < 50; i++) {
		char *m = map_pages(N, true);
		pthread_t thread;

		tell("register", register_wp(u, m, N * PAGE));
		tell_written("new", pagemap, m, N, PM_WP | PM_CHECK);
		pthread_create(&thread, NULL, grow, m);
		pthread_join(thread, NULL);
		tell_written("full", pagemap, m, N, PM_WP | PM_CHECK);
		munmap(m, N * PAGE);
	}
}

static void kernel_writes(void)
{
	char *m = map_pages(N, true);
	int u = make_async(), ends[2];

	register_wp(u, m, N * PAGE);
	tell_written("first", pagemap, m, N, PM_WP | PM_CHECK);
	tell("pipe", pipe(ends));
	tell("write", write(ends[1], m, PAGE));
	tell("read", read(ends[0], m + 9 * PAGE, PAGE));
	tell_written("second", pagemap, m, N, PM_WP | PM_CHECK);
	/* The kernel's own answer is a write, too (R7.9). */
	{
		struct pm_scan_arg *arg = (struct pm_scan_arg *)(m + 20 * PAGE);

		*arg = (struct pm_scan_arg){
			.size = sizeof(*arg),
			.flags = PM_WP,
			.start = (uintptr_t)m,
			.end = (uintptr_t)m + N * PAGE,
			.vec = (uintptr_t)m + 30 * PAGE,
			.vec_len = 8,
			.category_mask = IS_WRITTEN,
			.return_mask = IS_WRITTEN,
		};
		tell("into itself", ioctl(pagemap, PAGEMAP_SCAN, arg));
		tell_written("dirtied", pagemap, m, N, 0);
	}
}

static void waiting(void)
{
	char *m = map_pages(N, true), buffer[64];
	int u = make_async();
	struct pollfd p = {.fd = u, .events = POLLIN};

	register_wp(u, m, N * PAGE);
	write_protect(u, m, N * PAGE, true);
	m[0] = 2;
	tell("poll", poll(&p, 1, 0));
	tell("read", read(u, buffer, sizeof(buffer)));
	tell("flags", fcntl(u, F_GETFL) & O_NONBLOCK);
	tell("fd flags", fcntl(u, F_GETFD));
}

static void device(void)
{
	char *m = map_pages(N, true);
	int d = open("/dev/userfaultfd", O_RDWR | O_CLOEXEC), u;

	if (d < 0) {
		tell("device", d);
		return;
	}
	u = ioctl(d, 0xAA00, O_CLOEXEC | USER_MODE_ONLY);
	tell("made", u);
	tell("api", ask_async(u));
	tell("register", register_wp(u, m, N * PAGE));
	tell_written("first", pagemap, m, N, PM_WP | PM_CHECK);
	m[0] = 2;
	tell_written("second", pagemap, m, N, PM_WP | PM_CHECK);
}

static void foreign(void)
{
	int ends[2], n = 5;
	char buffer[64];

	tell("pipe", pipe(ends));
	tell("write", write(ends[1], "abc", 3));
	tell("readable", ioctl(ends[0], FIONREAD, &n));
	tell("n", n);
	tell("terminal", ioctl(ends[0], 0x5401, buffer));
	tell("closed", ioctl(777, FIONREAD, &n));
	tell("null", ioctl(ends[0], FIONREAD, NULL));
	tell("flags", ioctl(open("/", O_RDONLY), 0x80086601ul, NULL));
	tell("close", close(777));
	tell("dup", dup(777));
	tell("dup2", dup2(777, 5));
	tell("dup2", dup2(ends[0], -1));
	tell("dup3", dup3(ends[0], ends[0], 0));
	tell("fcntl", fcntl(ends[0], F_GETFD));
	tell("fcntl", fcntl(ends[0], 12345, 1));
	tell("range", close_range(9, 8, 0));
	tell("number", syscall(100000, 1, 2, 3, 4, 5, 6));
	errno = 33;
	tell("kept", dup(ends[0]));
	tell("errno", errno);
}

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
	{"get-and-clear", get_and_clear},
	{"arm-by-scan", arm_by_scan},
	{"check", check},
	{"limits", limits},
	{"errors", errors},
	{"descriptors", descriptors},
	{"close-many", close_many},
	{"by-number", by_number},
	{"forks", forks},
	{"threads", threads},
	{"follow", follow},
	{"another", another},
	{"api", api},
	{"registering", registering},
	{"around", around},
	{"two-uffds", two_uffds},
	{"empty-pages", empty_pages},
	{"shared-memory", shared_memory},
	{"changing-mappings", changing_mappings},
	{"moving-mappings", moving_mappings},
	{"huge-pages", huge_pages},
	{"hugetlb", hugetlb},
	{"many-regions", many_regions},
	{"reused", reused},
	{"kernel-writes", kernel_writes},
	{"waiting", waiting},
	{"device", device},
	{"foreign", foreign},
};

int main(int argc, char **argv)
{
	pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (argc < 2)
			puts(cases[i].name);
		else if (strcmp(argv[1], cases[i].name) == 0)
			cases[i].run();
	}
	return 0;
}
