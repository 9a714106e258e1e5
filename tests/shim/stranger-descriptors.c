/* SPDX-License-Identifier: MIT */
/* Descriptors: every way in which one is opened, copied, asked and closed. */
#include "stranger.h"

#include <poll.h>
#include <pthread.h>
#include <sys/wait.h>

void stranger_descriptors(void)
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

void stranger_close_many(void)
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

void stranger_by_number(void)
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

void stranger_forks(void)
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

/* What was given back to malloc and the like goes without a call that anyone sees. */
static void *grow(void *context)
{
	memset(context, 1, N * PAGE);
	return NULL;
}

void stranger_reused(void)
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

void stranger_waiting(void)
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

void stranger_device(void)
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

void stranger_foreign(void)
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
