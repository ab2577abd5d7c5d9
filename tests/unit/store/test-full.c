/* SPDX-License-Identifier: Apache-2.0 */
/* A full disk: writes fail with an error, removing still works, nothing is damaged. Needs a mount
 * namespace. */
#include "fixture.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>

/* In a child with a mount namespace of its own; returns the number of the step that failed. */
static int full_disk(struct fixture *f)
{
	char id[65], name[32];
	struct err e = ERR_INIT;
	unsigned n = 0;

	AUTO_FREE char *ballast = xasprintf("%s/ballast", f->data);
	AUTO_FD int fd = open(ballast, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	static char block[4096];
	struct digest img = add_image(f, "i");
	AUTO_FREE char *text = xcalloc(1, 3001); /* rows of about a page, as real ones */
	memset(text, ' ', 3000);
	for (; n < 2000; n++) {
		if (n == 5) /* the disk fills up now */
			while (write(fd, block, sizeof(block)) > 0)
				;
		snprintf(id, sizeof(id), "%064x", n);
		snprintf(name, sizeof(name), "c%u", n);
		const struct store_container c = {.id = id,
						  .name = name,
						  .image_id = "",
						  .config = text,
						  .hostconfig = "{}",
						  .state = "{}"};
		if (store_container_insert(f->s, &c, NULL, &e) < 0)
			break;
	}
	if (n < 5 || n == 2000 || e.kind != ERR_SYSTEM)
		return 2;
	err_clear(&e);
	for (unsigned i = 0; i < n; i++) {
		snprintf(id, sizeof(id), "%064x", i);
		if (store_container_delete(f->s, id, &e) < 0)
			return 3;
	}
	if (store_image_delete(f->s, &img, NULL, NULL, NULL, &e) < 0)
		return 4;
	if (store_trash_empty(f->data) < 0 || unlink(ballast) < 0 || ftruncate(fd, 0) < 0)
		return 5;
	reopen(f);
	const struct store_repair *r = store_repair_report(f->s);
	return r->layers_orphan + r->containers_orphan + r->containers_half + r->layers_lost ? 6
											     : 0;
}

static void test_full_disk(void **state)
{
	struct fixture *f = *state;
	int status;

	store_close(f->s);
	f->s = NULL;
	pid_t pid = fork();
	if (pid == 0) {
		if (unshare(CLONE_NEWNS) < 0 ||
		    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		    mount("tmpfs", f->data, "tmpfs", 0, "size=3m") < 0)
			_exit(77);
		reopen(f);
		int rc = full_disk(f);
		store_close(f->s);
		_exit(rc);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	reopen(f);
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_full_disk, fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
