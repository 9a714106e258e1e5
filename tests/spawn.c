/* SPDX-License-Identifier: MIT */
/* Programs started to be tracked: stopped at their exec, and as any other from then on. */
#include "attached.h"
#include "child.h"

#include <sys/stat.h>

static struct pagescan_process *spawn(const char *command)
{
	char *argv[] = {"sh", "-c", (char *)command, NULL};
	struct pagescan_error error = {0};
	struct pagescan_process *process;

	attached_skip_if_impossible();
	if (pagescan_process_spawn(argv, &process, &error) < 0)
		fail_msg("%s", error.text);
	return process;
}

static int exit_code(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void test_runs(void **state)
{
	struct pagescan_process *process = spawn("exit 7");
	pid_t pid = pagescan_process_get_pid(process);
	struct pagescan_mapping mapping;

	/* It is there, it can be tracked, and it has not begun. */
	assert_int_equal(pagescan_process_get_state(process), PAGESCAN_PROCESS_RUNNING);
	assert_int_equal(pagescan_process_find_mapping(process, 0, &mapping), 1);
	assert_true(process->registry.uffd >= 0);
	assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
	assert_int_equal(attached_status(pid, "Threads:"), 1);
	assert_int_equal(pagescan_process_resume(process), 0);
	assert_int_equal(exit_code(pid), 7);
	assert_int_equal(pagescan_process_resume(process), -ESRCH);
	pagescan_process_close(process);
}

/* What a program may notice of how it was started. */
/* Not SigQ: it counts the signals of all of the user's processes. */
static const char look[] = "exec > $SPAWN_OUT; ls -l /proc/self/fd | wc -l;"
			   "grep -E 'TracerPid|Threads|Sig(Pnd|Blk|Ign|Cgt)|NoNewPrivs|Seccomp' "
			   "/proc/self/status; ps -o ppid= $$ | tr -d ' '; echo $SPAWN_TEST";

static char *read_all(int fd)
{
	char *text = calloc(1, 1 << 16);

	assert_true(pread(fd, text, (1 << 16) - 1, 0) >= 0);
	assert_int_equal(ftruncate(fd, 0), 0);
	return text;
}

static void ignore(int sig)
{
}

static void test_like_any_other(void **state)
{
	char path[] = "/tmp/pagescan-spawn-XXXXXX";
	int out = mkostemp(path, O_CLOEXEC);
	struct pagescan_process *process;
	char *plain, *spawned;
	sigset_t mask;
	pid_t pid;

	/* What is blocked and ignored is inherited, handlers are not. */
	setenv("SPAWN_TEST", "here", 1);
	setenv("SPAWN_OUT", path, 1);
	signal(SIGUSR1, SIG_IGN);
	signal(SIGUSR2, ignore);
	sigemptyset(&mask);
	sigaddset(&mask, SIGURG);
	sigprocmask(SIG_BLOCK, &mask, NULL);

	fflush(stdout);
	pid = fork();
	if (pid == 0)
		execl("/bin/sh", "sh", "-c", look, NULL);
	exit_code(pid);
	plain = read_all(out);
	process = spawn(look);
	pid = pagescan_process_get_pid(process);
	pagescan_process_close(process);
	exit_code(pid);
	spawned = read_all(out);

	sigprocmask(SIG_UNBLOCK, &mask, NULL);
	signal(SIGUSR1, SIG_DFL);
	signal(SIGUSR2, SIG_DFL);
	unlink(path);
	close(out);
	assert_non_null(strstr(plain, "here"));
	assert_string_equal(spawned, plain);
	free(plain);
	free(spawned);
}

static void assert_fails(const char *program, int code, const char *phrase)
{
	char *argv[] = {(char *)program, NULL};
	struct pagescan_process *process = (void *)1;
	struct pagescan_error error = {0};

	assert_int_equal(pagescan_process_spawn(argv, &process, &error), code);
	printf("# %s\n", error.text);
	assert_int_equal(error.code, code);
	assert_non_null(strstr(error.text, phrase));
	assert_ptr_equal(process, (void *)1);
	/* No child, no helper and no descriptor is left. */
	assert_int_equal(waitpid(-1, NULL, WNOHANG | __WALL), -1);
}

static void test_failures(void **state)
{
	char path[] = "/tmp/pagescan-spawn-XXXXXX";
	int fd = mkstemp(path);

	assert_fails("pagescan-no-such-program", -ENOENT, "no such program");
	assert_fails("/nowhere/at-all", -ENOENT, "no such program");
	assert_fails("", -ENOENT, "no such program");
	assert_fails("/tmp", -EACCES, "denied");
	assert_fails(path, -EACCES, "denied");
	/* Found, and may be started, but its interpreter is not there. */
	assert_int_equal(write(fd, "#!/nowhere/at-all\n", 18), 18);
	fchmod(fd, 0755);
	close(fd);
	assert_fails(path, -ENOENT, path);
	unlink(path);
	assert_int_equal(pagescan_process_spawn(NULL, NULL, NULL), -EINVAL);
}

static void test_script(void **state)
{
	char path[] = "/tmp/pagescan-spawn-XXXXXX";
	int fd = mkstemp(path);
	char *argv[] = {path, "5", "6", NULL};
	struct pagescan_process *process;
	pid_t pid;

	attached_skip_if_impossible();
	/* The shell runs what no loader knows. */
	assert_int_equal(write(fd, "exit $(($1 + $2))\n", 18), 18);
	fchmod(fd, 0755);
	close(fd);
	assert_int_equal(pagescan_process_spawn(argv, &process, NULL), 0);
	pid = pagescan_process_get_pid(process);
	pagescan_process_close(process);
	assert_int_equal(exit_code(pid), 11);
	unlink(path);
}

static void test_leaves_nothing(void **state)
{
	char *fds = attached_list(getpid(), "fd"), *after;

	for (int i = 0; i < 20; i++) {
		struct pagescan_process *process = spawn("exit 0");
		pid_t pid = pagescan_process_get_pid(process);

		if (i % 2)
			assert_int_equal(pagescan_process_resume(process), 0);
		pagescan_process_close(process);
		assert_int_equal(exit_code(pid), 0);
	}
	assert_int_equal(waitpid(-1, NULL, WNOHANG | __WALL), -1);
	after = attached_list(getpid(), "fd");
	assert_string_equal(after, fds);
	free(fds);
	free(after);
}

static void test_killed_before_it_runs(void **state)
{
	struct pagescan_process *process = spawn("exit 0");
	pid_t pid = pagescan_process_get_pid(process);

	kill(pid, SIGKILL);
	assert_int_equal(exit_code(pid), -SIGKILL);
	assert_int_equal(pagescan_process_resume(process), -ESRCH);
	pagescan_process_close(process);
}

static void test_terminated_before_it_runs(void **state)
{
	struct pagescan_process *process = spawn("exit 0");
	pid_t pid = pagescan_process_get_pid(process);

	/* Taken when it runs, as the signal it is. */
	kill(pid, SIGTERM);
	assert_int_equal(pagescan_process_resume(process), 0);
	assert_int_equal(exit_code(pid), -SIGTERM);
	pagescan_process_close(process);
}

static void spawn_and_wait(int fd, void *arg)
{
	char *argv[] = {"sh", "-c", (char *)arg, NULL};
	struct pagescan_process *process;

	if (pagescan_process_spawn(argv, &process, NULL) < 0)
		_exit(1);
	child_say(fd, 'r');
	child_hear(fd);
}

static void test_caller_dies(void **state)
{
	char name[64], command[128];
	struct child child;

	attached_skip_if_impossible();
	snprintf(name, sizeof(name), "/tmp/pagescan-spawn-%d", (int)getpid());
	snprintf(command, sizeof(command), "echo > %s; exec sleep 1", name);
	child = child_start(spawn_and_wait, command);
	assert_int_equal(child_hear(child.fd), 'r');
	usleep(50000);
	assert_int_equal(access(name, F_OK), -1);
	child_end(&child);
	for (int i = 0; i < 1000 && access(name, F_OK) < 0; i++)
		usleep(10000);
	assert_int_equal(unlink(name), 0);
}

/* A copy of the object in a child made by fork has no say. */
static void test_fork_meanwhile(void **state)
{
	struct pagescan_process *process = spawn("exit 3");
	pid_t pid = pagescan_process_get_pid(process), copy;

	fflush(stdout);
	copy = fork();
	if (copy == 0) {
		pagescan_process_close(process);
		_exit(0);
	}
	assert_int_equal(exit_code(copy), 0);
	usleep(20000);
	assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
	assert_int_equal(pagescan_process_resume(process), 0);
	assert_int_equal(exit_code(pid), 3);
	pagescan_process_close(process);
}

static void as_nobody(int fd, void *arg)
{
	char *su[] = {"su", NULL}, *true_argv[] = {"true", NULL};
	struct pagescan_process *process;
	struct pagescan_error error = {0};
	int r;

	/* Who changes his user cannot be traced until his next exec. */
	if (setgid(65534) < 0 || setuid(65534) < 0 || prctl(PR_SET_DUMPABLE, 1) < 0)
		_exit(1);
	r = pagescan_process_spawn(su, &process, &error);
	/* A small system may have no such program. */
	if (r != -ENOENT && (r != -EPERM || !strstr(error.text, "rights of its own")))
		_exit(2);
	printf("# %s\n", error.text);
	if (pagescan_process_spawn(true_argv, &process, &error) < 0) {
		printf("# %s\n", error.text);
		_exit(3);
	}
	pagescan_process_close(process);
	fflush(stdout);
	child_say(fd, 'd');
}

static void test_without_privilege(void **state)
{
	struct child child;

	attached_skip_if_impossible();
	if (geteuid() != 0)
		skip_because("only root can become nobody");
	child = child_start(as_nobody, NULL);
	assert_int_equal(child_hear(child.fd), 'd');
	child_end(&child);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_runs),
		cmocka_unit_test(test_like_any_other),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_script),
		cmocka_unit_test(test_leaves_nothing),
		cmocka_unit_test(test_killed_before_it_runs),
		cmocka_unit_test(test_terminated_before_it_runs),
		cmocka_unit_test(test_caller_dies),
		cmocka_unit_test(test_fork_meanwhile),
		cmocka_unit_test(test_without_privilege),
	};

	return cmocka_run_group_tests_name("spawn", tests, NULL, NULL);
}
