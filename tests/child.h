/* SPDX-License-Identifier: MIT */
/* Other processes for tests: they run a function, and wait for the test where it wants them to. */
#ifndef TESTS_CHILD_H
#define TESTS_CHILD_H

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct child {
	pid_t pid;
	int fd; /* the other end is the child's */
};

/* Wait until the other side says something. */
static inline char child_hear(int fd)
{
	char c = 0;

	while (read(fd, &c, 1) < 0 && errno == EINTR)
		;
	return c;
}

static inline void child_say(int fd, char c)
{
	if (write(fd, &c, 1) != 1)
		_exit(1);
}

/* The function gets its end of a socket; when it returns, the child ends. */
static inline struct child child_start(void (*run)(int fd, void *arg), void *arg)
{
	struct child child;
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		abort();
	fflush(stdout);
	child.pid = fork();
	if (child.pid < 0)
		abort();
	if (child.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(fds[0]);
		run(fds[1], arg);
		_exit(0);
	}
	close(fds[1]);
	child.fd = fds[0];
	return child;
}

/* It ended, and is still a zombie. */
static inline void child_wait_ended(struct child *child)
{
	siginfo_t info;

	waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOWAIT);
}

static inline void child_end(struct child *child)
{
	kill(child->pid, SIGKILL);
	waitpid(child->pid, NULL, 0);
	close(child->fd);
}

#endif
