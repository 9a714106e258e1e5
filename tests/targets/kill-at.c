/* SPDX-License-Identifier: MIT */
/*
 * Kill a command when it enters its N-th system call:
 *
 *   kill-at N COMMAND [ARG...]
 *
 * Exit status 0 if it was killed, 1 if it ended before; 3 if that could not be done.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

static void die(const char *what)
{
	perror(what);
	exit(3);
}

/* Let it run up to its next stop; false if it ended instead. Other signals reach it. */
static bool next_call(pid_t pid)
{
	int status, sig = 0;

	do {
		if (ptrace(PTRACE_SYSCALL, pid, 0, sig) && errno != ESRCH)
			die("kill-at: ptrace");
		if (waitpid(pid, &status, 0) != pid)
			die("kill-at: wait");
		if (!WIFSTOPPED(status))
			return false;
		sig = WSTOPSIG(status);
	} while (sig != (SIGTRAP | 0x80));
	return true;
}

int main(int argc, char **argv)
{
	long n = argc > 2 ? atol(argv[1]) : 0;
	pid_t pid;

	if (n < 1) {
		fprintf(stderr, "usage: kill-at N COMMAND [ARG...]\n");
		return 3;
	}
	pid = fork();
	if (pid < 0)
		die("kill-at: fork");
	if (pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, 0, 0) == 0)
			execvp(argv[2], argv + 2);
		die("kill-at: start");
	}
	if (waitpid(pid, NULL, 0) != pid ||
	    ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL))
		die("kill-at: trace");
	/* Each call stops twice: where it is entered, and where it returns. */
	while (next_call(pid)) {
		if (--n == 0) {
			kill(pid, SIGKILL);
			waitpid(pid, NULL, 0);
			return 0;
		}
		if (!next_call(pid))
			break;
	}
	return 1;
}
