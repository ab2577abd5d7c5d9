/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the engine: its objects and what its files offer each other.
 *
 * Life of a container: created -> (starting) -> running <-> paused -> exited -> starting ... ->
 * removed. The row in the store is written at each of these changes; "starting" and "stopping"
 * exist in memory only.
 */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "config/config.h"
#include "engine/engine.h"
#include "image/image.h"
#include "runtime/runtime.h"
#include "spec/oci-config.h"
#include "spec/signals.h"
#include "store/store.h"
#include "sys/spawn.h"
#include "wire/shim-proto.h"

#include <uv.h>

#define ENGINE_TEXT_MAX	  (4u << 20) /* largest JSON text the engine writes or keeps */
#define ENGINE_MASKED_MAX 16

struct shim;

/* One resolved mount of a container; kept in its row, shown by inspect. */
struct mount_point {
	const char *type; /* bind, volume, tmpfs */
	const char *name; /* volume */
	const char *source, *destination, *driver, *mode, *propagation;
	bool rw, no_copy, anonymous, populated;
	bool make_source; /* bind: -v makes a missing folder */
	bool non_recursive;
	bool shallow_ro; /* read-only here, not for mounts below */
	const char *subpath;
	const char *options; /* tmpfs: comma list */
	const char *device;  /* volume with o=bind: the path that is mounted instead of source */
	bool device_ro;
	bool mounted; /* volume with a file system of its own, mounted at source while it is used */
	const char *image, *image_ref; /* of type image: its id, and what the user called it */
	struct strs lower; /* its layers as the snapshot names them, topmost first; not kept */
};
extern const struct json_schema mount_point_schema;

/* The `config` text of a container's row. */
struct container_meta {
	struct container_config config;
	struct objs mounts; /* struct mount_point */
	const char *path;
	struct strs args;
	const char *platform;
};
extern const struct json_schema container_meta_schema;

struct health_entry {
	int64_t start, end, exit_code;
	const char *output; /* heap */
};
#define HEALTH_LOG_MAX 5

/* Health as it is kept in the row. */
struct health_saved {
	const char *status;
	int64_t failing;
	struct objs log; /* struct health_entry */
};

/* The `state` text of a container's row. Strings are heap. */
struct container_state {
	bool running, paused, restarting, oom_killed, dead, removing;
	bool manual_stop; /* stopped by a user: no restart policy until the next start */
	bool started;	  /* ran at least once */
	int64_t pid, exit_code;
	const char *error;
	int64_t started_at, finished_at; /* ns */
	int64_t restart_count;
	const struct health_saved *health; /* only while the row is written or read */
	struct objs networks;		   /* the same; struct endpoint_saved */
	struct objs ports;		   /* the same; struct port_saved */
};
extern const struct json_schema container_state_schema;

struct health {
	uv_timer_t *timer;
	bool enabled, running; /* a probe is running */
	const char *status;    /* starting, healthy, unhealthy */
	int64_t failing;
	struct health_entry log[HEALTH_LOG_MAX];
	size_t nlog;
	char exec_id[ENGINE_ID_MAX];
	uint64_t generation;
};

struct container {
	struct engine *g;
	char id[ENGINE_ID_MAX];
	char *name;
	char *image_id;
	struct arena *arena; /* meta and host */
	struct container_meta meta;
	struct host_config host;
	struct container_state st;
	int64_t created;
	struct list link;      /* engine.order, oldest first */
	struct shim *shim;     /* NULL: no connection */
	struct list hooks;     /* struct exit_hook */
	struct list waits;     /* struct engine_wait */
	struct list pending;   /* struct pending_attach */
	struct list endpoints; /* struct endpoint, network.h */
	struct ports *ports;   /* published ones, publish.h; NULL: none */
	/* start in progress */
	bool starting, adopting;
	bool leaving;		 /* the shim of the last run still cleans up */
	bool start_waits;	 /* for that */
	struct list after_start; /* deferred.c */
	engine_done_fn start_cb;
	void *start_ud;
	uv_timer_t *restart_timer;
	int64_t restart_delay_ns;
	unsigned removals; /* of --rm, that failed */
	struct health health;
	struct names_told *names; /* what the name service knows of it; NULL: nothing */
};

/* Runs once when the container stopped running (or at once when the engine closes, with e set). */
typedef void (*exit_hook_fn)(struct container *c, void *ud, const struct err *e);
struct exit_hook {
	struct list link;
	exit_hook_fn fn;
	void *ud;
};

struct engine_wait {
	struct list link;
	bool removed, next_exit;
	engine_wait_fn cb;
	void *ud;
};

struct pending_attach {
	struct list link;
	struct engine_attach o; /* strings and preface are owned */
};

struct exec {
	char id[ENGINE_ID_MAX];
	char cid[ENGINE_ID_MAX];
	struct arena *arena;
	struct exec_config config;
	bool started, running, detach_only;
	int64_t pid, exit_code;
	bool has_exit;
	int64_t finished_at; /* also of one that can never run */
	struct list link;    /* engine.execs_new, nothing while it runs, engine.execs_ended */
	void (*on_exit)(struct exec *x, void *ud); /* health probes */
	void *on_exit_ud;
	engine_done_fn cb;
	void *ud;
};

struct event_log;

struct engine {
	uv_loop_t *loop;
	int shim_fd; /* the sealed shim, shim_path leads to it; negative: it could not be sealed */
	char *data_dir, *run_dir, *program_dir, *host, *shim_path, *init_path, *seccomp_cache;
	bool trace, closing;
	bool shutting_down; /* stops are the engine's, not a user's */
	const struct config *config;
	struct config *own_config; /* ours to free: no other was given */
	struct store *store;
	struct image_service *images;
	struct map *by_id, *by_name, *execs;
	struct list execs_new, execs_ended; /* oldest first */
	size_t nexecs_new, nexecs_ended;
	struct list order;
	struct list networks;		   /* struct network, oldest first */
	struct network_heal *network_heal; /* NULL: not needed yet */
	struct firewall *firewall;	   /* NULL: no network came up yet */
	struct engine_rules *rules;	   /* network-rules.c */
	struct host_ports *host_ports;
	uint16_t last_port; /* of the host, given to who asked for any */
	struct list subscribers;
	uint64_t events_published;
	struct event_log *event_log;
	int64_t last_event_ns;
	struct list logs;    /* struct engine_logs */
	struct list replays; /* clients that get the old log first */
	int64_t started_at;
	uint64_t next_attach;
	char engine_id[40];
	bool trash_busy, trash_again;
	unsigned trash_failures;
	uv_timer_t *gc_timer;
	unsigned on_threads;	   /* jobs of worker threads that the closing waits for */
	unsigned unplugging;	   /* ... that remove interfaces */
	struct nameservice *names; /* NULL: no connection */
	uv_timer_t *names_timer;   /* the name service is started again */
	int64_t names_started;	   /* when it was last; ns, monotonic */
	uv_work_t trash_work;
	uv_timer_t *trash_timer;
	bool reap_execs;
};

/* ---- names.c ---- */
bool name_is_valid(const char *name);
void name_random(char *ret, size_t n);
void id_random(char ret[static ENGINE_ID_MAX]);

/* ---- settings.c ---- */
struct image_settings settings_for_images(const struct config *c); /* borrows from c */
/* Fill what a new container leaves open with the engine's defaults. */
int settings_defaults(const struct engine *g, struct host_config *h, struct arena *a,
		      struct err *e);

/* ---- validate.c: pure checks; warnings go to w (arena strings) ---- */
struct warnings {
	struct arena *a;
	const char *v[32];
	size_t n;
};
void warnings_add(struct warnings *w, const char *text);
int validate_config(const struct container_config *c, struct err *e);
/* ---- log-config.c ---- */
extern const char *const log_driver_names[]; /* sorted, ends with NULL */
/* ERR_INVALID with Docker's words; ERR_UNSUPPORTED for drivers of Docker that are not built. */
int log_config_check(const struct log_config *l, struct err *e);
/* What `logs` reads, inside the container's folder; heap, NULL: nothing. *json: its format. */
char *log_config_file(const struct container *c, bool *json);
/* The shim's part of it: tag and attributes are evaluated now. Strings in the arena. */
int log_config_shim(const struct container *c, struct shim_log_config *s, struct arena *a,
		    struct err *e);

int validate_host_config(const struct host_config *h, const struct container_config *c,
			 struct warnings *w, struct err *e);
int validate_resources(const struct host_config *h, struct warnings *w, struct err *e);
int validate_restart_policy(const struct restart_policy *p, bool auto_remove, struct err *e);
int capability_normalize(const char *name,
			 char ret[static 40]); /* "net_admin" to "CAP_NET_ADMIN"; -EINVAL unknown */
/* "seccomp=...": what the options ask for. */
struct security {
	const char *seccomp; /* "default", "unconfined" or the JSON text of a profile */
	bool no_new_privileges;
	struct strs unmask; /* "ALL" or paths */
};
int security_parse(const struct strs *opts, bool privileged, struct security *ret, struct arena *a,
		   struct err *e);

/* ---- merge.c ---- */
struct image_defaults; /* decoded image config, see merge.c */
/* Lay the image's config (JSON of the config blob) under c. */
int merge_image_config(struct container_config *c, const char *image_json, struct arena *a,
		       struct err *e);
/* Fill HostConfig with what Docker shows for unset fields. */
void host_config_defaults(struct host_config *h, struct arena *a);

/* ---- mounts.c ---- */
/* "src:dst[:mode]" of -v. */
int bind_parse(const char *spec, struct mount_point *ret, struct arena *a, struct err *e);
/* All mounts of a container from Config.Volumes, Binds, Mounts, VolumesFrom; volumes are created.
 */
int mounts_resolve(struct engine *g, const struct container_config *c, const struct host_config *h,
		   struct objs *ret, struct arena *a, struct err *e);
/* "mount" or "unmount" of each of its volumes. */
void mounts_events(struct container *c, bool mount);
/* Anonymous volumes of the container go. */
void mounts_release(struct container *c, bool remove_anonymous);

int mounts_prepare(struct container *c, const struct store_snapshot *sn,
		   struct err *e);			/* copy-up, at create */
int mounts_sources(struct container *c, struct err *e); /* before each start: sources exist */
/* Does a container other than `except` (NULL allowed) mount it? */
bool volume_in_use(struct engine *g, const char *name, const struct container *except);
bool tmpfs_option_is_known(const char *option);

/* ---- mounts-image.c ---- */
struct mount_image_options {
	const char *subpath;
};
/* What create asks for: fills image, image_ref and subpath. */
int mount_image_resolve(struct engine *g, const struct mount_spec *s, struct mount_point *m,
			struct arena *a, struct err *e);
int mount_image_layers(struct container *c, struct mount_point *m, struct err *e); /* at start */
/* Is the image (its id) the container's own, or mounted in it? */
bool container_uses_image(const struct container *c, const char *id);
/* Is it mounted in some container? ret: where. */
bool mount_image_at(const struct engine *g, const char *image, char *ret, size_t size);

/* ---- volume-options.c ---- */
struct volume_local {
	const char *type, *device, *o; /* as given; NULL: not */
};
int volume_options_check(const struct strmap *options, struct err *e);
/* "local" is the only driver: others are Docker's plugins, none of which is ever installed here. */
int volume_driver_unknown(const char *name, struct err *e);
/* From the JSON of a volume's row. */
int volume_local_parse(const char *json, struct volume_local *ret, struct arena *a, struct err *e);
bool volume_local_is_bind(const struct volume_local *v);
bool volume_local_is_ro(const struct volume_local *v);
/* What the container sees: the device of a bind volume, else the source. */
const char *mount_real_source(const struct mount_point *m);
/* Before a start: the source of a volume with options is there. */
int volume_mount(struct container *c, const struct mount_point *m, struct err *e);
/* After an exit: what no running container uses any more is unmounted. */
void volumes_unmount(struct container *c);
/* What the shim mounts: struct shim_volume. */
int volumes_for_shim(struct container *c, struct objs *ret, struct arena *a, struct err *e);
int volume_detach(const char *mountpoint, struct err *e); /* nothing is mounted there afterwards */
int volume_remove_row(struct engine *g, const char *name, struct err *e);
/* A map as a JSON object. */
void map_text(const struct strmap *m, struct buf *out);

/* ---- ocispec.c ---- */
struct ocispec_in {
	const char *id;
	const struct container_config *config;
	const struct host_config *host;
	const struct objs *mounts; /* struct mount_point */
	const char *path;
	const struct strs *args;
	const struct strs *link_env; /* of links; NULL: none */
	const char *files_dir;	     /* hostname, hosts, resolv.conf; NULL: none */
	const char *shm_dir;	     /* folder bound at /dev/shm instead of a tmpfs; NULL: none */
	const char *net_ns, *pid_ns, *ipc_ns; /* paths for container:ID modes, else NULL */
	uint16_t console_h, console_w;
	int cgroup_version;
};
int ocispec_build(const struct ocispec_in *in, struct oci_config *ret, struct arena *a,
		  struct err *e);
void ocispec_resources(const struct host_config *h, struct oci_resources *ret, struct arena *a);
int ocispec_device_rule(const char *text, struct oci_device_rule *ret, struct arena *a);
/* Process of an exec. */
int ocispec_exec(const struct ocispec_in *in, const struct exec_config *x, struct oci_process *ret,
		 struct arena *a, struct err *e);
extern const char *const default_masked_paths[], *const default_readonly_paths[];

/* ---- shimconn.c ---- */
typedef void (*shim_answer_fn)(struct container *c, void *ud, const struct shim_message *m,
			       const struct err *e);
/* Spawn coracle-shim for the container's run folder. */
int shim_spawn(struct container *c, struct err *e);
int shim_connect(struct container *c,
		 struct err *e); /* to the one that listens in the run folder */
/* fd is borrowed (sent). cb may be NULL; runs with e set when the connection breaks. */
int shim_call(struct shim *s, const struct shim_request *r, int fd, shim_answer_fn cb, void *ud,
	      struct err *e);
void shim_drop(struct container *c); /* close the connection; pending answers run with an error */
/* Watch a child until it ends and reap it. Takes p->pidfd. */
void process_reap(struct engine *g, struct process *p);

/* ---- engine.c ---- */
struct container *container_by_id(struct engine *g, const char *id);
void container_unlink(struct container *c); /* out of the maps, then freed */
struct container *container_load(struct engine *g, const struct store_container *row,
				 struct err *e);
int container_save_state(struct container *c, struct err *e);
void container_save_state_log(struct container *c);		       /* errors are logged */
char *container_run_path(const struct container *c, const char *file); /* heap; file may be NULL */
char *container_data_path(const struct container *c, const char *file);
void container_set_error(struct container *c, const char *text);
void engine_trash(struct engine *g);
/* ERR_LATER inside the engine: look again after so long. */
#define ENGINE_READY_MS 100
uv_timer_t *engine_timer(struct engine *g, uint64_t ms, uv_timer_cb cb, void *ud);
void engine_timer_free(uv_timer_t **t);

/* ---- life.c ---- */
void container_on_message(struct container *c,
			  const struct shim_message *m); /* events of its shim */
void container_on_gone(struct container *c);		 /* the shim's connection ended */
void container_exited(struct container *c, int64_t code, bool oom, int64_t finished_at);
void container_fail_hooks(struct container *c, const struct err *e);
void exit_hook_add(struct container *c, exit_hook_fn fn, void *ud);
int container_signal(struct container *c, int signo, engine_done_fn cb, void *ud, struct err *e);
void container_clean_run(struct container *c);
void wait_notify(struct container *c, bool removed);
void restart_cancel(struct container *c);
/* --rm: tries again when it fails. c may be gone afterwards. */
void container_auto_remove(struct container *c);
bool restart_wanted_at_boot(const struct container *c);

/* ---- start.c ---- */
int container_start(struct container *c, engine_done_fn cb, void *ud, struct err *e);
void container_start_go_on(struct container *c); /* one that waited for the old shim */
int container_spec_input(struct container *c, struct ocispec_in *ret, struct arena *a,
			 struct err *e);
/* The shim has cloned the container: its network is made now. fd: the namespace, borrowed. */
void container_on_netns(struct container *c, int fd);

/* ---- attach.c ---- */
int attach_send(struct container *c, const struct engine_attach *o, struct err *e);
void pending_free(struct pending_attach *p);
void attach_done(struct engine *g); /* at the end of the engine */

/* ---- deferred.c: what waits for the end of a start ---- */
struct deferred_op {
	enum { DEFERRED_REMOVE, DEFERRED_STOP, DEFERRED_RESTART, DEFERRED_KILL } what;
	bool force, volumes;
	const char *signal; /* copied; NULL allowed */
	int timeout_s;
	engine_done_fn cb; /* NULL allowed */
	void *ud;
};
int deferred_add(struct container *c, const struct deferred_op *op); /* 0 */
/* The container's into ret, so that it may go meanwhile; then carried out in order. */
void deferred_take(struct container *c, struct list *ret);
void deferred_run(struct engine *g, const char *id, struct list *ops);
void deferred_fail(struct container *c, const struct err *e);

/* ---- recover.c ---- */
/* Before the rows are read: after a reboot nothing in the run folder is true any more. */
bool recover_boot(struct engine *g);
void recover_all(struct engine *g);
void recover_lost(struct container *c);	   /* no shim: exit.json or 137, and clean up */
void recover_remains(struct container *c); /* kill and remove what its dead shim left */

/* ---- events.c ---- */
void events_init(struct engine *g);
void events_done(struct engine *g);
/* key, value pairs end with NULL; labels, image and name are added. */
void container_event(struct container *c, const char *action, ...) __attribute__((sentinel));
/* "prune" of a type, with what it freed. */
void event_reclaimed(struct engine *g, const char *type, uint64_t bytes);

/* ---- event-log.c ---- */
struct event_log *event_log_open(const char *data_dir); /* never NULL: failures are logged */
void event_log_close(struct event_log *l);
void event_log_add(struct event_log *l, const char *json, size_t n);
/* Oldest first; json is one line of n bytes, not terminated. */
void event_log_each(const struct event_log *l, int64_t since_ns, int64_t until_ns,
		    void (*fn)(const char *json, size_t n, void *ud), void *ud);

void event_publish_map(struct engine *g, const char *type, const char *action, const char *id,
		       const struct strmap *attributes);

/* ---- exec.c ---- */
void exec_exited(struct container *c, const char *id, int64_t code);
void exec_container_gone(struct container *c);
void exec_free(struct exec *x);
struct exec *exec_get(struct engine *g, const char *id);

/* ---- image-mounts.c ---- */
/* Is the image (its id) mounted somewhere? ret: one of the places. */
bool image_mounted_at(struct engine *g, const char *image, char *ret, size_t size);

/* ---- health.c ---- */
void health_start(struct container *c);
void health_resume(struct container *c); /* of an adopted container: goes on where it was */
void health_stop(struct container *c);
void health_save(const struct container *c, struct health_saved *ret); /* borrows from c */
void health_restore(struct container *c, const struct health_saved *from);
void health_free(struct container *c);
void health_write(const struct container *c, struct jw *w); /* State.Health's value */

/* ---- stats.c ---- */
struct net_counters;
#define COUNTERS_MAX 32 /* interfaces of a container that are told */
/* Of its network namespace; none on `host`. */
size_t container_counters(const struct container *c, struct net_counters *ret, size_t max);

/* ---- observe.c ---- */
/* The control group of a running container; runtime_container_done() afterwards. */
int container_cgroup(const struct container *c, struct runtime_container *ret, struct err *e);

/* ---- logs.c ---- */
void logs_container_ended(struct container *c);

/* ---- gc.c ---- */
void gc_schedule(struct engine *g); /* once the configuration is there */

/* ---- df.c ---- */
struct store_measuring;
/* base with the sizes filled in: of the disk when m is given, else of the content. */
int engine_image_list_sizes(struct engine *g, const struct image_list *base,
			    const struct store_measuring *m, struct buf *out, struct err *e);
/* ---- images.c ---- */
int64_t engine_image_users(const struct engine *g, const struct digest *id);

/* ---- list.c ---- */
void container_status_text(const struct container *c, int64_t now, struct buf *out);
const char *container_status_name(const struct container *c);
/* m: as measured; NULL: measure now */
void container_size_write(const struct container *c, const struct store_measuring *m,
			  struct jw *w); /* SizeRw, SizeRootFs */
void mounts_write(const struct container *c, struct jw *w);
