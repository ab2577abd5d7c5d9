/* SPDX-License-Identifier: Apache-2.0 */
/* The table of all commands: names, arguments, options. Help and dispatch are made from it. */
#include "cli/commands.h"
#include "cli/run.h"

#include "base/banned.h"

#define B OPT_BOOL
#define S OPT_STR
#define L OPT_LIST
#define I OPT_INT

#define FORMAT_HELP                                                                                \
	"Format of the output: 'table', 'table TEMPLATE', 'json', or a Go template for each line"
#define OPT_FORMAT                                                                                 \
	{                                                                                          \
		0, "format", S, NULL, FORMAT_HELP, NULL, 0                                         \
	}
#define OPT_TEMPLATE                                                                               \
	{                                                                                          \
		'f', "format", S, NULL, "Format of the output: 'json' or a Go template", NULL, 0   \
	}
#define OPT_FILTER                                                                                 \
	{                                                                                          \
		'f', "filter", L, "filter", "Only what fits these conditions", NULL, 0             \
	}
#define OPT_KEYS                                                                                   \
	{                                                                                          \
		0, "detach-keys", S, NULL, "Keys that detach from the container", NULL, 0          \
	}
#define OPT_SIG_PROXY(flags)                                                                       \
	{                                                                                          \
		0, "sig-proxy", B, NULL, "Forward signals to the process", "true", flags           \
	}
#define OPT_NO_TRUNC                                                                               \
	{                                                                                          \
		0, "no-trunc", B, NULL, "Don't truncate output", NULL, 0                           \
	}

static const struct opt none[] = {OPT_END};
static const struct opt ps_options[] = {
	{'a', "all", B, NULL, "All containers (default: only running ones)", NULL, 0},
	OPT_FILTER,
	OPT_FORMAT,
	{'n', "last", I, NULL, "The last created containers, in any state", "-1", 0},
	{'l', "latest", B, NULL, "The last created container, in any state", NULL, 0},
	OPT_NO_TRUNC,
	{'q', "quiet", B, NULL, "Only container IDs", NULL, 0},
	{'s', "size", B, NULL, "Sizes of files", NULL, 0},
	OPT_END,
};
static const struct opt exec_options[] = {
	{'d', "detach", B, NULL, "Run the command in the background", NULL, 0},
	OPT_KEYS,
	{'e', "env", L, NULL, "Set environment variables", NULL, 0},
	{0, "env-file", L, NULL, "Read environment variables from a file", NULL, 0},
	{'i', "interactive", B, NULL, "Keep STDIN open even if not attached", NULL, 0},
	{0, "privileged", B, NULL, "Give all privileges to the command", NULL, 0},
	{'t', "tty", B, NULL, "Allocate a pseudo-TTY", NULL, 0},
	{'u', "user", S, NULL, "User (name or UID[:group or GID])", NULL, 0},
	{'w', "workdir", S, NULL, "Working directory in the container", NULL, 0},
	OPT_END,
};
static const struct opt pull_options[] = {
	{'a', "all-tags", B, NULL, "All tagged images of the repository", NULL, 0},
	{0, "disable-content-trust", B, NULL, "Skip the check of signatures", "true", 0},
	{0, "platform", S, NULL, "Platform of the image", NULL, 0},
	{'q', "quiet", B, NULL, "No progress", NULL, 0},
	OPT_END,
};
static const struct opt push_options[] = {
	{'a', "all-tags", B, NULL, "All tags of the repository", NULL, 0},
	{0, "compression", S, NULL, "Compress every layer with 'gzip' or 'zstd'", NULL, 0},
	{0, "compression-level", I, NULL, "Level of the compression (gzip 1-9, zstd 1-19)", NULL,
	 0},
	{0, "disable-content-trust", B, NULL, "Skip signing", "true", 0},
	{0, "platform", S, NULL, "Only the manifest of this platform, not the index", NULL, 0},
	{'q', "quiet", B, NULL, "No progress", NULL, 0},
	OPT_END,
};
static const struct opt search_options[] = {
	OPT_FILTER,   OPT_FORMAT, {0, "limit", I, NULL, "Number of results", NULL, 0},
	OPT_NO_TRUNC, OPT_END,
};
static const struct opt login_options[] = {
	{'p', "password", S, NULL, "Password or personal access token", NULL, 0},
	{0, "password-stdin", B, NULL, "Take the password from stdin", NULL, 0},
	{'u', "username", S, NULL, "Username", NULL, 0},
	OPT_END,
};
static const struct opt images_options[] = {
	{'a', "all", B, NULL, "All images (default: without intermediate ones)", NULL, 0},
	{0, "digests", B, NULL, "Show digests", NULL, 0},
	OPT_FILTER,
	OPT_FORMAT,
	OPT_NO_TRUNC,
	{'q', "quiet", B, NULL, "Only image IDs", NULL, 0},
	{0, "tree", B, NULL, "Images with their platforms as a tree", NULL, 0},
	OPT_END,
};
static const struct opt template_options[] = {OPT_TEMPLATE, OPT_END};
static const struct opt attach_options[] = {
	OPT_KEYS,
	{0, "no-stdin", B, NULL, "Do not attach STDIN", NULL, 0},
	OPT_SIG_PROXY(0),
	OPT_END,
};
static const struct opt commit_options[] = {
	{'a', "author", S, NULL, "Author of the image", NULL, 0},
	{'c', "change", L, NULL, "Apply a Dockerfile instruction", NULL, 0},
	{'m', "message", S, NULL, "Message of the commit", NULL, 0},
	{'p', "pause", B, NULL, "Pause the container meanwhile", "true", 0},
	OPT_END,
};
static const struct opt bootstrap_options[] = {
	{0, "include", S, "packages", "More packages, separated by commas", NULL, 0},
	{0, "mirror", S, NULL, "Archive to take the packages from (default: apt's)", NULL, 0},
	{'q', "quiet", B, NULL, "No progress", NULL, 0},
	{0, "variant", S, NULL, "How much is in it, as mmdebstrap names it", "minbase", 0},
	OPT_END,
};
static const struct opt image_mount_options[] = {
	OPT_FORMAT,
	OPT_NO_TRUNC,
	{'q', "quiet", B, NULL, "Only mount IDs", NULL, 0},
	OPT_END,
};
static const struct opt image_unmount_options[] = {
	{'a', "all", B, NULL, "All mounts of images", NULL, 0},
	{'f', "force", B, NULL, "Also one that is in use", NULL, 0},
	OPT_END,
};
static const struct opt import_options[] = {
	{'c', "change", L, NULL, "Apply a Dockerfile instruction", NULL, 0},
	{'m', "message", S, NULL, "Message of the image's history", NULL, 0},
	{0, "platform", S, NULL, "Platform of the image", NULL, 0},
	OPT_END,
};
static const struct opt cp_options[] = {
	{'a', "archive", B, NULL, "Keep owners", NULL, 0},
	{'L', "follow-link", B, NULL, "Follow a symbolic link at the source", NULL, 0},
	{'q', "quiet", B, NULL, "No progress", NULL, 0},
	OPT_END,
};
static const struct opt events_options[] = {
	OPT_FILTER,
	OPT_FORMAT,
	{0, "since", S, NULL, "Events since this time", NULL, 0},
	{0, "until", S, NULL, "Events until this time", NULL, 0},
	OPT_END,
};
static const struct opt output_options[] = {
	{'o', "output", S, NULL, "Write to a file instead of STDOUT", NULL, 0},
	OPT_END,
};
static const struct opt save_options[] = {
	{'o', "output", S, NULL, "Write to a file instead of STDOUT", NULL, 0},
	{0, "platform", S, NULL, "Only this platform", NULL, 0},
	OPT_END,
};
static const struct opt history_options[] = {
	OPT_FORMAT,
	{'H', "human", B, NULL, "Sizes and dates for people", "true", 0},
	OPT_NO_TRUNC,
	{0, "platform", S, NULL, "Of this platform", NULL, 0},
	{'q', "quiet", B, NULL, "Only image IDs", NULL, 0},
	OPT_END,
};
static const struct opt inspect_options[] = {
	OPT_TEMPLATE,
	{'s', "size", B, NULL, "Sizes of files of a container", NULL, 0},
	{0, "type", S, NULL, "Only objects of this type", NULL, 0},
	OPT_END,
};
static const struct opt image_inspect_options[] = {
	OPT_TEMPLATE,
	{0, "platform", S, NULL, "Of this platform", NULL, 0},
	OPT_END,
};
static const struct opt container_inspect_options[] = {
	OPT_TEMPLATE,
	{'s', "size", B, NULL, "Sizes of files", NULL, 0},
	OPT_END,
};
static const struct opt kill_options[] = {
	{'s', "signal", S, NULL, "Signal to send", NULL, 0},
	OPT_END,
};
static const struct opt load_options[] = {
	{'i', "input", S, NULL, "Read a file or a directory instead of STDIN", NULL, 0},
	{0, "platform", S, NULL, "Only this platform", NULL, 0},
	{'q', "quiet", B, NULL, "No progress", NULL, 0},
	OPT_END,
};
static const struct opt logs_options[] = {
	{0, "details", B, NULL, "Show extra details of the log", NULL, 0},
	{'f', "follow", B, NULL, "Follow the output", NULL, 0},
	{0, "since", S, NULL,
	 "Lines since a time (\"2013-01-02T13:23:37Z\") or before now (\"42m\")", NULL, 0},
	{'n', "tail", S, NULL, "Lines from the end", "all", 0},
	{'t', "timestamps", B, NULL, "Show times", NULL, 0},
	{0, "until", S, NULL,
	 "Lines until a time (\"2013-01-02T13:23:37Z\") or before now (\"42m\")", NULL, 0},
	OPT_END,
};
static const struct opt stop_options[] = {
	{'s', "signal", S, NULL, "Signal to send", NULL, 0},
	{0, "time", S, NULL, "Seconds until it is killed", NULL, OPT_HIDDEN},
	{'t', "timeout", I, NULL, "Seconds until it is killed", NULL, 0},
	OPT_END,
};
static const struct opt rm_options[] = {
	{'f', "force", B, NULL, "Also a running container (by SIGKILL)", NULL, 0},
	{'l', "link", B, NULL, "Remove the link", NULL, 0},
	{'v', "volumes", B, NULL, "Also its anonymous volumes", NULL, 0},
	OPT_END,
};
static const struct opt rmi_options[] = {
	{'f', "force", B, NULL, "Also an image in use", NULL, 0},
	{0, "no-prune", B, NULL, "Keep untagged parents", NULL, 0},
	{0, "platform", L, NULL, "Remove only this platform (needs --force)", NULL, 0},
	OPT_END,
};
static const struct opt start_options[] = {
	{'a', "attach", B, NULL, "Attach STDOUT and STDERR and forward signals", NULL, 0},
	OPT_KEYS,
	{'i', "interactive", B, NULL, "Attach STDIN", NULL, 0},
	OPT_SIG_PROXY(OPT_HIDDEN),
	OPT_END,
};
static const struct opt stats_options[] = {
	{'a', "all", B, NULL, "All containers (default: only running ones)", NULL, 0},
	OPT_FORMAT,
	{0, "no-stream", B, NULL, "Only one result", NULL, 0},
	OPT_NO_TRUNC,
	OPT_END,
};
static const struct opt update_options[] = {
	{0, "blkio-weight", OPT_UINT16, NULL, "Relative block IO weight (10-1000)", "0", 0},
	{0, "cpu-period", I, NULL, "CPU period of the CFS scheduler", NULL, 0},
	{0, "cpu-quota", I, NULL, "CPU quota of the CFS scheduler", NULL, 0},
	{0, "cpu-rt-period", I, NULL, "Real-time period in microseconds", NULL, 0},
	{0, "cpu-rt-runtime", I, NULL, "Real-time runtime in microseconds", NULL, 0},
	{'c', "cpu-shares", I, NULL, "Relative weight of CPU time", NULL, 0},
	{0, "cpus", OPT_DECIMAL, NULL, "Number of CPUs", NULL, 0},
	{0, "cpuset-cpus", S, NULL, "CPUs to run on (0-3, 0,1)", NULL, 0},
	{0, "cpuset-mems", S, NULL, "Memory nodes to use (0-3, 0,1)", NULL, 0},
	{'m', "memory", OPT_BYTES, NULL, "Limit of memory", "0", 0},
	{0, "kernel-memory", OPT_BYTES, NULL, "Limit of kernel memory", "0", OPT_HIDDEN},
	{0, "memory-reservation", OPT_BYTES, NULL, "Soft limit of memory", "0", 0},
	{0, "memory-swap", OPT_BYTES, NULL, "Limit of memory plus swap, -1 for unlimited swap", "0",
	 0},
	{0, "pids-limit", I, NULL, "Limit of processes (-1 for unlimited)", NULL, 0},
	{0, "restart", S, NULL, "Restart policy", NULL, 0},
	OPT_END,
};
static const struct opt volume_create_options[] = {
	{'d', "driver", S, NULL, "Driver of the volume", "local", 0},
	{0, "label", L, NULL, "Set a label", NULL, 0},
	{0, "name", S, NULL, "Name of the volume", NULL, OPT_HIDDEN},
	{'o', "opt", L, "map", "Options of the driver", NULL, 0},
	OPT_END,
};
static const struct opt ports_options[] = {
	{0, "exposed", OPT_BOOL, NULL, "All that is reachable, from where, and why", NULL, 0},
	{0, "format", OPT_STR, NULL, "Format output using a custom template", NULL, 0},
	OPT_END,
};
static const struct opt volume_ls_options[] = {
	OPT_FILTER,
	OPT_FORMAT,
	{'q', "quiet", B, NULL, "Only names", NULL, 0},
	OPT_END,
};
static const struct opt network_create_options[] = {
	{0, "attachable", B, NULL, "Containers may be connected by hand", NULL, 0},
	{0, "aux-address", L, "map", "Addresses that are not ours to give", NULL, 0},
	{0, "config-from", S, NULL, "Take the configuration of this network", NULL, 0},
	{0, "config-only", B, NULL, "Only a configuration for others", NULL, 0},
	{'d', "driver", S, NULL, "Driver of the network", "bridge", 0},
	{0, "gateway", L, "strings", "Gateway of the subnet", NULL, 0},
	{0, "ingress", B, NULL, "Routing mesh of a swarm", NULL, OPT_HIDDEN},
	{0, "internal", B, NULL, "No way to the outside", NULL, 0},
	{0, "ip-range", L, "strings", "Give addresses of this part of the subnet", NULL, 0},
	{0, "ipam-driver", S, NULL, "Driver of the addresses", "default", 0},
	{0, "ipam-opt", L, "map", "Options of the driver of the addresses", NULL, 0},
	{0, "ipv4", B, NULL, "With IPv4 addresses (default true)", NULL, 0},
	{0, "ipv6", B, NULL, "With IPv6 addresses", NULL, 0},
	{0, "label", L, NULL, "Set a label", NULL, 0},
	{'o', "opt", L, "map", "Options of the driver", NULL, 0},
	{0, "scope", S, NULL, "Scope of the network", NULL, OPT_HIDDEN},
	{0, "subnet", L, "strings", "Subnet in CIDR form", NULL, 0},
	OPT_END,
};
static const struct opt network_connect_options[] = {
	{0, "alias", L, "strings", "Another name in this network", NULL, 0},
	{0, "driver-opt", L, "strings", "Options of the driver", NULL, 0},
	{0, "gw-priority", I, NULL, "The highest leads to the outside", NULL, 0},
	{0, "ip", S, NULL, "IPv4 address", NULL, 0},
	{0, "ip6", S, NULL, "IPv6 address", NULL, 0},
	{0, "link", L, NULL, "Link to another container", NULL, 0},
	{0, "link-local-ip", L, "strings", "Link-local addresses", NULL, 0},
	OPT_END,
};
static const struct opt network_ls_options[] = {
	OPT_FILTER, OPT_FORMAT, OPT_NO_TRUNC, {'q', "quiet", B, NULL, "Only network IDs", NULL, 0},
	OPT_END,
};
static const struct opt context_create_options[] = {
	{0, "description", S, NULL, "Description of the context", NULL, 0},
	{0, "docker", L, "stringToString",
	 "The engine: host=, ca=, cert=, key=, skip-tls-verify=, from=", NULL, 0},
	{0, "from", S, NULL, "Copy this context", NULL, 0},
	OPT_END,
};
static const struct opt context_update_options[] = {
	{0, "description", S, NULL, "Description of the context", NULL, 0},
	{0, "docker", L, "stringToString",
	 "The engine: host=, ca=, cert=, key=, skip-tls-verify=, from=", NULL, 0},
	OPT_END,
};
static const struct opt context_ls_options[] = {
	OPT_FORMAT,
	{'q', "quiet", B, NULL, "Only the names", NULL, 0},
	OPT_END,
};
static const struct opt context_rm_options[] = {
	{'f', "force", B, NULL, "Also the context in use", NULL, 0},
	OPT_END,
};
static const struct opt force_options[] = {
	{'f', "force", B, NULL, "No error when it does not exist", NULL, 0},
	OPT_END,
};
#define OPT_PRUNE                                                                                  \
	{0, "filter", L, "filter", "Only what fits these conditions", NULL, 0},                    \
		{'f', "force", B, NULL, "Do not ask", NULL, 0}, OPT_END
static const struct opt prune_options[] = {OPT_PRUNE};
static const struct opt prune_all_options[] = {
	{'a', "all", B, NULL, "All unused ones", NULL, 0},
	OPT_PRUNE,
};
static const struct opt system_prune_options[] = {
	{'a', "all", B, NULL, "All unused images, not just dangling ones", NULL, 0},
	{0, "volumes", B, NULL, "Also anonymous volumes", NULL, 0},
	OPT_PRUNE,
};
static const struct opt gc_options[] = {
	{0, "dangling", B, NULL, "Only images without a name", NULL, 0},
	{0, "dry-run", B, NULL, "Say what would be removed, remove nothing", NULL, 0},
	OPT_TEMPLATE,
	{0, "keep-storage", S, "bytes", "Stop when images occupy no more", NULL, 0},
	{0, "unused-for", S, "duration", "Only images not used for so long (\"168h\")", NULL, 0},
	OPT_END,
};
static const struct opt fsck_options[] = {
	{0, "format", S, NULL, "\"json\": one object per problem, then a summary", NULL, 0},
	{0, "quick", B, NULL, "Leave out the content of blobs and files", NULL, 0},
	{0, "repair", B, NULL, "Repair what can be repaired", NULL, 0},
	OPT_END,
};
static const struct opt df_options[] = {
	OPT_FORMAT,
	{'v', "verbose", B, NULL, "Every image, container and volume", NULL, 0},
	OPT_END,
};

#define OPT_INSECURE                                                                               \
	{                                                                                          \
		0, "insecure", B, NULL, "Also a registry without TLS or a known certificate",      \
			NULL, 0                                                                    \
	}
static const struct opt manifest_inspect_options[] = {
	OPT_INSECURE,
	{'v', "verbose", B, NULL, "Every member with its platform and its document", NULL, 0},
	OPT_END,
};
static const struct opt manifest_create_options[] = {
	{'a', "amend", B, NULL, "Add to an existing manifest list", NULL, 0},
	OPT_INSECURE,
	OPT_END,
};
static const struct opt manifest_annotate_options[] = {
	{0, "arch", S, NULL, "Set the architecture", NULL, 0},
	{0, "os", S, NULL, "Set the operating system", NULL, 0},
	{0, "os-features", L, "strings", "Add features of the operating system", NULL, 0},
	{0, "os-version", S, NULL, "Set the version of the operating system", NULL, 0},
	{0, "variant", S, NULL, "Set the variant of the architecture", NULL, 0},
	OPT_END,
};
static const struct opt referrers_options[] = {
	{0, "artifact-type", S, NULL, "Only artifacts of this type", NULL, 0},
	OPT_FORMAT,
	OPT_INSECURE,
	{'o', "output", S, "directory",
	 "Fetch the artifacts into this directory, an OCI layout, instead of listing them", NULL,
	 0},
	{0, "platform", S, NULL, "What refers to the image of this platform, not to its index",
	 NULL, 0},
	{'q', "quiet", B, NULL, "Only digests", NULL, 0},
	OPT_END,
};
static const struct opt manifest_push_options[] = {
	OPT_INSECURE,
	{'p', "purge", B, NULL, "Remove the local manifest list after the push", NULL, 0},
	OPT_END,
};

#define C   "container"
#define G   GROUP_PLAIN
#define ID  "CONTAINER"
#define IDS "CONTAINER [CONTAINER...]"

const struct command cli_commands[] = {
	{"run", C, "run", NULL, "IMAGE [COMMAND] [ARG...]",
	 "Create a container from an image and run it", run_options, 1, -1, false, GROUP_COMMON,
	 cmd_run},
	{"exec", C, "exec", NULL, "CONTAINER COMMAND [ARG...]",
	 "Run a command in a running container", exec_options, 2, -1, false, GROUP_COMMON,
	 cmd_exec},
	{"ps", C, "ls", "list ps", "", "List containers", ps_options, 0, 0, true, GROUP_COMMON,
	 cmd_ps},
	{"pull", "image", "pull", NULL, "NAME[:TAG|@DIGEST]", "Get an image from a registry",
	 pull_options, 1, 1, true, GROUP_COMMON, cmd_pull},
	{"images", "image", "ls", "list", "[REPOSITORY[:TAG]]", "List images", images_options, 0, 1,
	 true, GROUP_COMMON, cmd_images},
	{"push", "image", "push", NULL, "NAME[:TAG]", "Upload an image to its registry",
	 push_options, 1, 1, true, GROUP_COMMON, cmd_push},
	{"search", NULL, NULL, NULL, "[HOST/]TERM", "Search a registry for repositories",
	 search_options, 1, 1, true, GROUP_COMMON, cmd_search},
	{"login", NULL, NULL, NULL, "[SERVER]", "Authenticate to a registry", login_options, 0, 1,
	 true, GROUP_COMMON, cmd_login},
	{"logout", NULL, NULL, NULL, "[SERVER]", "Log out from a registry", none, 0, 1, true,
	 GROUP_COMMON, cmd_logout},
	{"version", NULL, NULL, NULL, "", "Show the versions of client and engine",
	 template_options, 0, 0, true, GROUP_COMMON, cmd_version},
	{"info", "system", "info", NULL, "", "Show facts about the engine and its host",
	 template_options, 0, 0, true, GROUP_COMMON, cmd_info},
	{"attach", C, "attach", NULL, ID, "Join the streams of a running container", attach_options,
	 1, 1, true, G, cmd_attach},
	{"commit", C, "commit", NULL, "CONTAINER [REPOSITORY[:TAG]]",
	 "Make an image of a container's changes", commit_options, 1, 2, true, G, cmd_commit},
	{"cp", C, "cp", NULL, "CONTAINER:SRC_PATH DEST_PATH|-",
	 "Copy files between a container and the host", cp_options, 2, 2, true, G, cmd_cp},
	{"create", C, "create", NULL, "IMAGE [COMMAND] [ARG...]", "Create a new container",
	 create_options, 1, -1, false, G, cmd_create},
	{"diff", C, "diff", NULL, ID, "Show what a container changed in its files", none, 1, 1,
	 true, G, cmd_diff},
	{"events", "system", "events", NULL, "", "Show events of the engine as they happen",
	 events_options, 0, 0, true, G, cmd_events},
	{"export", C, "export", NULL, ID, "Write a container's files as a tar archive",
	 output_options, 1, 1, true, G, cmd_export},
	{"history", "image", "history", NULL, "IMAGE", "Show how an image was made",
	 history_options, 1, 1, true, G, cmd_history},
	{NULL, "image", "bootstrap", NULL, "DISTRIBUTION:SUITE [NAME[:TAG]]",
	 "Make a minimal image from the distribution's archive", bootstrap_options, 1, 2, true, G,
	 cmd_image_bootstrap},
	{NULL, "image", "mount", NULL, "[IMAGE [DIRECTORY]]",
	 "Show the files of an image read-only, or list what is mounted", image_mount_options, 0, 2,
	 true, G, cmd_image_mount},
	{NULL, "image", "unmount", "umount", "[MOUNT|DIRECTORY|IMAGE...]", "End such a view",
	 image_unmount_options, 0, -1, true, G, cmd_image_unmount},
	{"import", "image", "import", NULL, "file|URL|- [REPOSITORY[:TAG]]",
	 "Make an image of a tar archive", import_options, 1, 2, true, G, cmd_import},
	{"inspect", NULL, NULL, NULL, "NAME|ID [NAME|ID...]", "Show everything about objects",
	 inspect_options, 1, -1, true, G, cmd_inspect},
	{NULL, C, "inspect", NULL, IDS, "Show everything about containers",
	 container_inspect_options, 1, -1, true, G, cmd_container_inspect},
	{NULL, "image", "inspect", NULL, "IMAGE [IMAGE...]", "Show everything about images",
	 image_inspect_options, 1, -1, true, G, cmd_image_inspect},
	{"kill", C, "kill", NULL, IDS, "Kill running containers", kill_options, 1, -1, true, G,
	 cmd_kill},
	{"load", "image", "load", NULL, "", "Load images from a tar archive or STDIN", load_options,
	 0, 0, true, G, cmd_load},
	{"logs", C, "logs", NULL, ID, "Show the output of a container", logs_options, 1, 1, true, G,
	 cmd_logs},
	{"pause", C, "pause", NULL, IDS, "Freeze all processes of containers", none, 1, -1, true, G,
	 cmd_pause},
	{"port", C, "port", NULL, "CONTAINER [PRIVATE_PORT[/PROTO]]",
	 "List the published ports of a container", none, 1, 2, true, G, cmd_port},
	{"ports", C, "ports", NULL, "[CONTAINER...]",
	 "List published ports, and with --exposed what is reachable from where", ports_options, 0,
	 -1, true, G, cmd_ports},
	{"rename", C, "rename", NULL, "CONTAINER NEW_NAME", "Rename a container", none, 2, 2, true,
	 G, cmd_rename},
	{"restart", C, "restart", NULL, IDS, "Restart containers", stop_options, 1, -1, true, G,
	 cmd_restart},
	{"rm", C, "rm", "remove", IDS, "Remove containers", rm_options, 1, -1, true, G, cmd_rm},
	{"rmi", "image", "rm", "remove", "IMAGE [IMAGE...]", "Remove images", rmi_options, 1, -1,
	 true, G, cmd_rmi},
	{"save", "image", "save", NULL, "IMAGE [IMAGE...]",
	 "Write images to a tar archive (to STDOUT by default)", save_options, 1, -1, true, G,
	 cmd_save},
	{"start", C, "start", NULL, IDS, "Start stopped containers", start_options, 1, -1, true, G,
	 cmd_start},
	{"stats", C, "stats", NULL, "[CONTAINER...]", "Show the resources containers use",
	 stats_options, 0, -1, true, G, cmd_stats},
	{"stop", C, "stop", NULL, IDS, "Stop running containers", stop_options, 1, -1, true, G,
	 cmd_stop},
	{"tag", "image", "tag", NULL, "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
	 "Give an image another name", none, 2, 2, true, G, cmd_tag},
	{"top", C, "top", NULL, "CONTAINER [ps OPTIONS]", "Show the processes of a container", none,
	 1, -1, false, G, cmd_top},
	{"unpause", C, "unpause", NULL, IDS, "Thaw all processes of containers", none, 1, -1, true,
	 G, cmd_unpause},
	{"update", C, "update", NULL, IDS, "Change the limits of containers", update_options, 1, -1,
	 true, G, cmd_update},
	{"wait", C, "wait", NULL, IDS, "Wait until containers stop and print their exit codes",
	 none, 1, -1, true, G, cmd_wait},
	{NULL, C, "prune", NULL, "", "Remove all stopped containers", prune_options, 0, 0, true, G,
	 cmd_container_prune},
	{NULL, "image", "prune", NULL, "", "Remove unused images", prune_all_options, 0, 0, true, G,
	 cmd_image_prune},
	{NULL, "image", "referrers", NULL, "IMAGE",
	 "Show or fetch what refers to an image in its registry: signatures, bills of materials",
	 referrers_options, 1, 1, true, G, cmd_referrers},
	{NULL, "manifest", "annotate", NULL, "MANIFEST_LIST MANIFEST",
	 "Say more about a member of a local manifest list", manifest_annotate_options, 2, 2, true,
	 G, cmd_manifest_annotate},
	{NULL, "manifest", "create", NULL, "MANIFEST_LIST MANIFEST [MANIFEST...]",
	 "Make a local manifest list, to annotate and push it", manifest_create_options, 2, -1,
	 true, G, cmd_manifest_create},
	{NULL, "manifest", "inspect", NULL, "[MANIFEST_LIST] MANIFEST",
	 "Show an image manifest or a manifest list", manifest_inspect_options, 1, 2, true, G,
	 cmd_manifest_inspect},
	{NULL, "manifest", "push", NULL, "MANIFEST_LIST", "Push a manifest list to its repository",
	 manifest_push_options, 1, 1, true, G, cmd_manifest_push},
	{NULL, "manifest", "rm", NULL, "MANIFEST_LIST [MANIFEST_LIST...]",
	 "Remove local manifest lists", none, 1, -1, true, G, cmd_manifest_rm},
	{"completion", NULL, NULL, NULL, "SHELL",
	 "Print the completion script for bash, zsh or fish", none, 1, 1, true, G, cmd_completion},
	{"__complete", NULL, NULL, NULL, "[WORD...]", "Candidates for the last word", none, 0, -1,
	 false, GROUP_NONE, cmd_complete},
	{NULL, "context", "create", NULL, "CONTEXT", "Create a context", context_create_options, 1,
	 1, true, G, cmd_context_create},
	{NULL, "context", "export", NULL, "CONTEXT [FILE|-]",
	 "Write a context to a tar archive, to STDOUT with '-'", none, 1, 2, true, G,
	 cmd_context_export},
	{NULL, "context", "import", NULL, "CONTEXT FILE|-", "Read a context from a tar archive",
	 none, 2, 2, true, G, cmd_context_import},
	{NULL, "context", "inspect", NULL, "[CONTEXT] [CONTEXT...]",
	 "Show everything about contexts", template_options, 0, -1, true, G, cmd_context_inspect},
	{NULL, "context", "ls", "list", "", "List contexts", context_ls_options, 0, 0, true, G,
	 cmd_context_ls},
	{NULL, "context", "rm", "remove", "CONTEXT [CONTEXT...]", "Remove contexts",
	 context_rm_options, 1, -1, true, G, cmd_context_rm},
	{NULL, "context", "show", NULL, "", "Print the name of the current context", none, 0, 0,
	 true, G, cmd_context_show},
	{NULL, "context", "update", NULL, "CONTEXT", "Change a context", context_update_options, 1,
	 1, true, G, cmd_context_update},
	{NULL, "context", "use", NULL, "CONTEXT", "Set the current context", none, 1, 1, true, G,
	 cmd_context_use},
	{NULL, "volume", "create", NULL, "[VOLUME]", "Create a volume", volume_create_options, 0, 1,
	 true, G, cmd_volume_create},
	{NULL, "volume", "inspect", NULL, "VOLUME [VOLUME...]", "Show everything about volumes",
	 template_options, 1, -1, true, G, cmd_volume_inspect},
	{NULL, "volume", "ls", "list", "", "List volumes", volume_ls_options, 0, 0, true, G,
	 cmd_volume_ls},
	{NULL, "volume", "prune", NULL, "", "Remove unused volumes", prune_all_options, 0, 0, true,
	 G, cmd_volume_prune},
	{NULL, "volume", "rm", "remove", "VOLUME [VOLUME...]", "Remove volumes", force_options, 1,
	 -1, true, G, cmd_volume_rm},
	{NULL, "network", "connect", NULL, "NETWORK CONTAINER", "Connect a container to a network",
	 network_connect_options, 2, 2, true, G, cmd_network_connect},
	{NULL, "network", "create", NULL, "NETWORK", "Create a network", network_create_options, 1,
	 1, true, G, cmd_network_create},
	{NULL, "network", "disconnect", NULL, "NETWORK CONTAINER",
	 "Disconnect a container from a network", force_options, 2, 2, true, G,
	 cmd_network_disconnect},
	{NULL, "network", "inspect", NULL, "NETWORK [NETWORK...]", "Show everything about networks",
	 template_options, 1, -1, true, G, cmd_network_inspect},
	{NULL, "network", "ls", "list", "", "List networks", network_ls_options, 0, 0, true, G,
	 cmd_network_ls},
	{NULL, "network", "prune", NULL, "", "Remove unused networks", prune_options, 0, 0, true, G,
	 cmd_network_prune},
	{NULL, "network", "rm", "remove", "NETWORK [NETWORK...]", "Remove networks", force_options,
	 1, -1, true, G, cmd_network_rm},
	{NULL, "system", "df", NULL, "", "Show used disk space", df_options, 0, 0, true, G,
	 cmd_system_df},
	{NULL, "system", "fsck", NULL, "", "Check the store, and repair it", fsck_options, 0, 0,
	 true, G, cmd_system_fsck},
	{NULL, "system", "dial-stdio", NULL, "",
	 "Connect STDIN and STDOUT to the engine (used by ssh://)", none, 0, 0, true, G,
	 cmd_system_dial_stdio},
	{NULL, "system", "gc", NULL, "", "Remove images nobody uses, as configured", gc_options, 0,
	 0, true, G, cmd_system_gc},
	{NULL, "system", "prune", NULL, "", "Remove unused data", system_prune_options, 0, 0, true,
	 G, cmd_system_prune},
	{.run = NULL},
};
