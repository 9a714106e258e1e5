/* SPDX-License-Identifier: MIT */
/* Opening processes of every kind, and what becomes of them. */
#include "process/process.h"
#include "child.h"
#include "support.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static void assert_refused(pid_t pid, int code, const char *phrase)
{
	struct pagescan_process *process = (void *)1;
	struct pagescan_error error = {0};

	assert_int_equal(pagescan_process_open(pid, &process, &error), code);
	assert_ptr_equal(process, (void *)1);
	assert_int_equal(error.code, code);
	printf("# %s\n", error.text);
	assert_non_null(strstr(error.text, phrase));
	assert_int_equal(pagescan_process_open(pid, &process, NULL), code);
}

static struct pagescan_process *open_process(pid_t pid)
{
	struct pagescan_process *process;
	struct pagescan_error error = {0};

	if (pagescan_process_open(pid, &process, &error) < 0)
		fail_msg("%s", error.text);
	return process;
}

static void wait_quietly(int fd, void *arg)
{
	child_say(fd, 'r');
	child_hear(fd);
}

static void test_own(void **state)
{
	const pid_t pids[] = {0, getpid()};

	for (int i = 0; i < 2; i++) {
		struct pagescan_process *process = open_process(pids[i]);

		assert_int_equal(pagescan_process_get_pid(process), getpid());
		assert_true(process->is_own);
		assert_int_equal(pagescan_process_get_state(process), PAGESCAN_PROCESS_RUNNING);
		pagescan_process_close(process);
	}
	pagescan_process_close(NULL);
}

static void test_child_runs_and_ends(void **state)
{
	struct child child = child_start(wait_quietly, NULL);
	struct pagescan_process *process;
	struct pagescan_mapping mapping;

	child_hear(child.fd);
	process = open_process(child.pid);
	assert_false(process->is_own);
	assert_int_equal(pagescan_process_get_pid(process), child.pid);
	assert_int_equal(pagescan_process_get_state(process), PAGESCAN_PROCESS_RUNNING);
	assert_int_equal(pagescan_process_find_mapping(process, 0, &mapping), 1);

	child_say(child.fd, 'e');
	child_wait_ended(&child);
	assert_int_equal(pagescan_process_get_state(process), PAGESCAN_PROCESS_EXITED);
	assert_int_equal(pagescan_process_find_mapping(process, 0, &mapping), -ESRCH);
	assert_refused(child.pid, -ESRCH, "zombie");

	child_end(&child);
	assert_int_equal(pagescan_process_get_state(process), PAGESCAN_PROCESS_EXITED);
	assert_int_equal(pagescan_process_find_mapping(process, 0, &mapping), -ESRCH);
	pagescan_process_close(process);
	assert_refused(child.pid, -ESRCH, "no process");
}

/* From running to ended there is no moment at which it looks as if it had called exec. */
static void test_ending_is_never_exec(void **state)
{
	for (int i = 0; i < 300; i++) {
		struct child child = child_start(wait_quietly, NULL);
		struct pagescan_process *process;
		enum pagescan_process_state now;

		child_hear(child.fd);
		process = open_process(child.pid);
		child_say(child.fd, 'e');
		do {
			now = pagescan_process_get_state(process);
			assert_int_not_equal(now, PAGESCAN_PROCESS_REPLACED);
		} while (now == PAGESCAN_PROCESS_RUNNING);
		child_end(&child);
		pagescan_process_close(process);
	}
}

static void exec_when_told(int fd, void *arg)
{
	child_say(fd, 'r');
	child_hear(fd);
	/* Its end closes at exec, which tells the test when. */
	execlp("sleep", "sleep", "1000", NULL);
}

static void test_exec(void **state)
{
	struct child child = child_start(exec_when_told, NULL);
	struct pagescan_process *process;
	struct pagescan_mapping mapping;

	child_hear(child.fd);
	process = open_process(child.pid);
	child_say(child.fd, 'e');
	child_hear(child.fd);
	while (pagescan_process_get_state(process) == PAGESCAN_PROCESS_RUNNING)
		;
	assert_int_equal(pagescan_process_get_state(process), PAGESCAN_PROCESS_REPLACED);
	assert_int_equal(pagescan_process_find_mapping(process, 0, &mapping), -ESRCH);
	child_end(&child);
	assert_int_equal(pagescan_process_get_state(process), PAGESCAN_PROCESS_EXITED);
	pagescan_process_close(process);
}

static void exec_after_vfork(int fd, void *arg)
{
	pid_t pid = vfork();

	if (pid == 0) {
		pid = getpid();
		if (write(fd, &pid, sizeof(pid)) != sizeof(pid))
			_exit(1);
		child_hear(fd);
		execlp("sleep", "sleep", "1000", NULL);
		_exit(1);
	}
	child_say(fd, 'x');
	child_hear(fd);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	child_say(fd, 'k');
	child_hear(fd);
}

/* Opened while it still lives in its parent's memory, which its exec does not end. */
static void test_exec_after_vfork(void **state)
{
	struct child child = child_start(exec_after_vfork, NULL);
	struct pagescan_process *process;
	struct pagescan_mapping mapping;
	pid_t pid;

	assert_int_equal(read(child.fd, &pid, sizeof(pid)), sizeof(pid));
	process = open_process(pid);
	assert_int_equal(pagescan_process_get_state(process), PAGESCAN_PROCESS_RUNNING);
	child_say(child.fd, 'e');
	assert_int_equal(child_hear(child.fd), 'x');
	/* The parent goes on a little before its child has memory of its own. */
	while (pagescan_process_get_state(process) == PAGESCAN_PROCESS_RUNNING)
		;
	assert_int_equal(pagescan_process_get_state(process), PAGESCAN_PROCESS_REPLACED);
	/* It is the parent's memory, and that is there. */
	assert_int_equal(pagescan_process_find_mapping(process, 0, &mapping), 1);
	child_say(child.fd, 'k');
	assert_int_equal(child_hear(child.fd), 'k');
	assert_int_equal(pagescan_process_get_state(process), PAGESCAN_PROCESS_EXITED);
	child_end(&child);
	pagescan_process_close(process);
}

/* A program that calls exec again and again is opened as one of those programs, never as two. */
static void exec_on_and_on(int fd, void *arg)
{
	child_say(fd, 'r');
	execlp("sh", "sh", "-c", "exec sh -c \"$0\" \"$0\"", "exec sh -c \"$0\" \"$0\"", NULL);
}

static void test_open_during_exec(void **state)
{
	struct child child = child_start(exec_on_and_on, NULL);
	int n_opened = 0;

	child_hear(child.fd);
	for (int i = 0; i < 200; i++) {
		struct pagescan_process *process;
		struct pagescan_mapping mapping;
		struct pagescan_error error;

		if (pagescan_process_open(child.pid, &process, &error) < 0)
			continue;
		n_opened++;
		(void)pagescan_process_find_mapping(process, 0, &mapping);
		assert_int_not_equal(pagescan_process_get_state(process), PAGESCAN_PROCESS_EXITED);
		pagescan_process_close(process);
	}
	printf("# opened %d of 200 times\n", n_opened);
	assert_true(n_opened > 0);
	child_end(&child);
}

static void *tell_tid(void *arg)
{
	pid_t tid = (pid_t)syscall(SYS_gettid);
	int fd = *(int *)arg;

	if (write(fd, &tid, sizeof(tid)) != sizeof(tid))
		_exit(1);
	child_hear(fd);
	_exit(0);
}

static void run_thread(int fd, void *leader_ends)
{
	static int thread_fd;
	pthread_t thread;

	thread_fd = fd;
	pthread_create(&thread, NULL, tell_tid, &thread_fd);
	if (leader_ends)
		syscall(SYS_exit, 0);
	pthread_join(thread, NULL);
}

static void test_thread_means_its_process(void **state)
{
	struct child child = child_start(run_thread, NULL);
	struct pagescan_process *process;
	pid_t tid;

	assert_int_equal(read(child.fd, &tid, sizeof(tid)), sizeof(tid));
	assert_int_not_equal(tid, child.pid);
	process = open_process(tid);
	assert_int_equal(pagescan_process_get_pid(process), child.pid);
	assert_int_equal(pagescan_process_get_state(process), PAGESCAN_PROCESS_RUNNING);
	child_end(&child);
	assert_int_equal(pagescan_process_get_state(process), PAGESCAN_PROCESS_EXITED);
	pagescan_process_close(process);
}

static char state_letter(pid_t pid)
{
	char path[64], text[512] = "", *at;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY);
	if (fd >= 0) {
		(void)!read(fd, text, sizeof(text) - 1);
		close(fd);
	}
	at = strrchr(text, ')');
	return at ? at[2] : '?';
}

static void test_leader_ended(void **state)
{
	struct child child = child_start(run_thread, &child);
	pid_t tid;

	assert_int_equal(read(child.fd, &tid, sizeof(tid)), sizeof(tid));
	while (state_letter(child.pid) != 'Z')
		usleep(1000);
	assert_refused(child.pid, -ESRCH, "first thread");
	assert_refused(tid, -ESRCH, "first thread");
	child_end(&child);
}

static void test_bad_pids(void **state)
{
	struct pagescan_error error;

	assert_refused(-1, -EINVAL, "no process id");
	assert_int_equal(pagescan_process_open(0, NULL, &error), -EINVAL);
	/* Above the largest that a kernel gives. */
	assert_refused(0x7fffffff, -ESRCH, "no process");
}

static void test_kernel_thread(void **state)
{
	char comm[32] = "";
	int fd = open("/proc/2/comm", O_RDONLY);

	if (fd >= 0) {
		(void)!read(fd, comm, sizeof(comm) - 1);
		close(fd);
	}
	if (strcmp(comm, "kthreadd\n") != 0)
		skip_because("no kernel thread is visible here");
	assert_refused(2, -EINVAL, "thread of the kernel");
}

static void become_nobody(void)
{
	if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0)
		_exit(1);
}

/* Answers whether @pid is refused as denied, with the phrase that it sends next. */
static void be_denied(int fd, void *pid)
{
	struct pagescan_process *process;
	struct pagescan_error error = {0};

	become_nobody();
	if (pagescan_process_open(*(pid_t *)pid, &process, &error) != -EACCES)
		_exit(2);
	if (write(fd, error.text, sizeof(error.text)) != sizeof(error.text))
		_exit(3);
}

static void assert_denied(pid_t pid, const char *phrase)
{
	struct child child = child_start(be_denied, &pid);
	struct pagescan_error error;

	assert_int_equal(read(child.fd, error.text, sizeof(error.text)), sizeof(error.text));
	printf("# %s\n", error.text);
	assert_non_null(strstr(error.text, phrase));
	child_end(&child);
}

static void be_secretive(int fd, void *arg)
{
	become_nobody();
	prctl(PR_SET_DUMPABLE, 0);
	wait_quietly(fd, arg);
}

static void test_denied(void **state)
{
	struct child child;

	if (geteuid() != 0)
		skip_because("needs root, to become somebody else");
	assert_denied(getpid(), "belongs to user 0");
	child = child_start(be_secretive, NULL);
	child_hear(child.fd);
	assert_denied(child.pid, "does not let itself be looked at");
	child_end(&child);
}

/* Whichever descriptor is the one too many, it is said, and none stays behind. */
static void open_with_few_descriptors(int fd, void *arg)
{
	int lowest = dup(0), n_refused = 0;

	close(lowest);
	for (int limit = 3; limit < 200; limit++) {
		const struct rlimit rlimit = {(rlim_t)limit, 200};
		struct pagescan_process *process;
		struct pagescan_error error;
		int r, next;

		setrlimit(RLIMIT_NOFILE, &rlimit);
		r = pagescan_process_open(getppid(), &process, &error);
		if (r == 0)
			pagescan_process_close(process);
		else if (r != -EMFILE || !strstr(error.text, strerror(EMFILE)))
			_exit(1);
		else
			n_refused++;
		setrlimit(RLIMIT_NOFILE, &(struct rlimit){200, 200});
		next = dup(0);
		if (next != lowest)
			_exit(2);
		close(next);
	}
	child_say(fd, n_refused > lowest && n_refused < 190 ? 'r' : 'x');
}

static void test_few_descriptors(void **state)
{
	struct child child = child_start(open_with_few_descriptors, NULL);

	assert_int_equal(child_hear(child.fd), 'r');
	child_end(&child);
}

static int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void test_descriptors(void **state)
{
	struct child child = child_start(wait_quietly, NULL);
	struct pagescan_process *process;
	bool was_open[256];
	int before = count_fds(), n_ours = 0;

	child_hear(child.fd);
	for (int fd = 0; fd < 256; fd++)
		was_open[fd] = fcntl(fd, F_GETFD) >= 0;
	process = open_process(child.pid);
	for (int fd = 0; fd < 256; fd++) {
		int flags = fcntl(fd, F_GETFD);

		if (flags >= 0 && !was_open[fd]) {
			assert_true(flags & FD_CLOEXEC);
			n_ours++;
		}
	}
	assert_true(n_ours > 0);
	pagescan_process_close(process);
	assert_true(pagescan_process_open(0x7fffffff, &process, NULL) < 0);
	child_end(&child);
	assert_int_equal(count_fds(), before - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own),
		cmocka_unit_test(test_child_runs_and_ends),
		cmocka_unit_test(test_ending_is_never_exec),
		cmocka_unit_test(test_exec),
		cmocka_unit_test(test_exec_after_vfork),
		cmocka_unit_test(test_open_during_exec),
		cmocka_unit_test(test_thread_means_its_process),
		cmocka_unit_test(test_leader_ended),
		cmocka_unit_test(test_bad_pids),
		cmocka_unit_test(test_kernel_thread),
		cmocka_unit_test(test_denied),
		cmocka_unit_test(test_few_descriptors),
		cmocka_unit_test(test_descriptors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
