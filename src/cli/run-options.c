/* SPDX-License-Identifier: Apache-2.0 */
/* The option table of run and create. Order is by name, as help shows it. */
#include "cli/run.h"

#include "base/banned.h"

#define B OPT_BOOL
#define S OPT_STR
#define L OPT_LIST
#define I OPT_INT
#define M OPT_BYTES
#define D OPT_DURATION
#define U OPT_UNBUILT

#define SHARED_A                                                                                     \
	{0, "add-host", L, NULL, "Extra line for /etc/hosts (host:ip)", NULL, 0},                    \
		{0, "annotation", L, "map", "Annotation handed to the OCI runtime", NULL, 0},        \
		{'a', "attach", L, NULL, "Attach to STDIN, STDOUT or STDERR", NULL, 0},              \
		{0, "blkio-weight", OPT_UINT16, NULL, "Relative block IO weight (10-1000)", "0", 0}, \
		{0, "blkio-weight-device", L, NULL, "Block IO weight of a device", NULL, 0},         \
		{0, "cap-add", L, NULL, "Add Linux capabilities", NULL, 0},                          \
		{0, "cap-drop", L, NULL, "Drop Linux capabilities", NULL, 0},                        \
		{0, "cgroup-parent", S, NULL, "Parent cgroup of the container", NULL, 0},            \
		{0, "cgroupns", S, NULL, "Cgroup namespace (host|private)", NULL, 0},                \
		{0, "cidfile", S, NULL, "Write the container's ID to this file", NULL, 0},           \
		{0, "cpu-count", I, NULL, "Number of CPUs (Windows only)", NULL, OPT_HIDDEN},        \
		{0, "cpu-percent", I, NULL, "CPU percent (Windows only)", NULL, OPT_HIDDEN},         \
		{0, "cpu-period", I, NULL, "CPU period of the CFS scheduler", NULL, 0},              \
		{0, "cpu-quota", I, NULL, "CPU quota of the CFS scheduler", NULL, 0},                \
		{0, "cpu-rt-period", I, NULL, "Real-time period in microseconds", NULL, 0},          \
		{0, "cpu-rt-runtime", I, NULL, "Real-time runtime in microseconds", NULL, 0},        \
		{'c', "cpu-shares", I, NULL, "Relative weight of CPU time", NULL, 0},                \
		{0, "cpus", OPT_DECIMAL, NULL, "Number of CPUs", NULL, 0},                           \
		{0, "cpuset-cpus", S, NULL, "CPUs to run on (0-3, 0,1)", NULL, 0},                   \
	{                                                                                            \
		0, "cpuset-mems", S, NULL, "Memory nodes to use (0-3, 0,1)", NULL, 0                 \
	}

#define SHARED_D                                                                                     \
	{0, "device", L, NULL, "Give a device of the host to the container", NULL, 0},               \
		{0, "device-cgroup-rule", L, NULL, "Rule for the list of allowed devices", NULL, 0}, \
		{0, "device-read-bps", L, NULL, "Limit bytes per second read from a device", NULL,   \
		 0},                                                                                 \
		{0, "device-read-iops", L, NULL, "Limit reads per second from a device", NULL, 0},   \
		{0, "device-write-bps", L, NULL, "Limit bytes per second written to a device", NULL, \
		 0},                                                                                 \
		{0, "device-write-iops", L, NULL, "Limit writes per second to a device", NULL, 0},   \
		{0, "disable-content-trust", B, NULL, "Skip the check of signatures", "true", 0},    \
		{0, "dns", L, NULL, "DNS servers", NULL, 0},                                         \
		{0, "dns-opt", L, NULL, "DNS options", NULL, OPT_HIDDEN},                            \
		{0, "dns-option", L, NULL, "DNS options", NULL, 0},                                  \
		{0, "dns-search", L, NULL, "DNS search domains", NULL, 0},                           \
		{0, "domainname", S, NULL, "NIS domain name of the container", NULL, 0},             \
		{0, "entrypoint", S, NULL, "Replace the image's ENTRYPOINT", NULL, 0},               \
		{'e', "env", L, NULL, "Set environment variables", NULL, 0},                         \
		{0, "env-file", L, NULL, "Read environment variables from a file", NULL, 0},         \
		{0, "expose", L, NULL, "Expose a port or a range of ports", NULL, 0},                \
		{0, "gpus", S, "gpu-request", "GPUs to give to the container", NULL, 0},             \
		{0, "group-add", L, NULL, "Additional groups of the user", NULL, 0},                 \
		{0, "health-cmd", S, NULL, "Command that checks the health", NULL, 0},               \
		{0, "health-interval", D, NULL, "Time between checks", NULL, 0},                     \
		{0, "health-retries", I, NULL, "Failures until unhealthy", NULL, 0},                 \
		{0, "health-start-interval", D, NULL, "Time between checks at the start", NULL, 0},  \
		{0, "health-start-period", D, NULL, "Time to start up before failures count", NULL,  \
		 0},                                                                                 \
		{0, "health-timeout", D, NULL, "Longest time of one check", NULL, 0},                \
		{0, "help", B, NULL, "Print usage", NULL, 0},                                        \
		{'h', "hostname", S, NULL, "Host name of the container", NULL, 0},                   \
		{0,    "init", B, NULL, "Run an init that forwards signals and reaps processes",     \
		 NULL, 0},                                                                           \
		{'i', "interactive", B, NULL, "Keep STDIN open even if not attached", NULL, 0},      \
		{0, "io-maxbandwidth", M, NULL, "Windows only", NULL, OPT_HIDDEN},                   \
		{0, "io-maxiops", I, NULL, "Windows only", NULL, OPT_HIDDEN},                        \
		{0, "ip", S, NULL, "IPv4 address", NULL, 0},                                         \
		{0, "ip6", S, NULL, "IPv6 address", NULL, 0},                                        \
		{0, "ipc", S, NULL, "IPC mode", NULL, 0},                                            \
		{0, "isolation", S, NULL, "How the container is isolated", NULL, 0},                 \
	{                                                                                            \
		0, "kernel-memory", M, NULL, "Limit of kernel memory", NULL, OPT_HIDDEN              \
	}

#define SHARED_L                                                                                     \
	{'l', "label", L, NULL, "Set a label of the container", NULL, 0},                            \
		{0, "label-file", L, NULL, "Read labels from a file", NULL, 0},                      \
		{0, "link", L, NULL, "Link to another container", NULL, 0},                          \
		{0, "link-local-ip", L, NULL, "Link-local addresses", NULL, 0},                      \
		{0, "log-driver", S, NULL, "Where the output is logged", NULL, 0},                   \
		{0, "log-opt", L, NULL, "Options of the log driver", NULL, 0},                       \
		{0, "mac-address", S, NULL, "MAC address", NULL, 0},                                 \
		{'m', "memory", M, NULL, "Limit of memory", "0", 0},                                 \
		{0, "memory-reservation", M, NULL, "Soft limit of memory", "0", 0},                  \
		{0, "memory-swap", M, NULL, "Limit of memory plus swap, -1 for unlimited swap", "0", \
		 0},                                                                                 \
		{0, "memory-swappiness", I, NULL, "Readiness to swap (0 to 100)", "-1", 0},          \
		{0, "mount", L, "mount", "Mount a file system in the container", NULL, 0},           \
		{0, "name", S, NULL, "Name of the container", NULL, 0},                              \
		{0, "net", L, "network", "Network of the container", NULL, OPT_HIDDEN},              \
		{0, "net-alias", L, NULL, "Name inside the network", NULL, OPT_HIDDEN},              \
		{0, "network", L, "network", "Network of the container", NULL, 0},                   \
		{0, "network-alias", L, NULL, "Name inside the network", NULL, 0},                   \
		{0, "no-healthcheck", B, NULL, "Switch off the image's health check", NULL, 0},      \
		{0, "oom-kill-disable", B, NULL, "Switch off the OOM killer", NULL, 0},              \
		{0, "oom-score-adj", I, NULL, "OOM preference (-1000 to 1000)", NULL, 0},            \
		{0, "pid", S, NULL, "PID namespace", NULL, 0},                                       \
		{0, "pids-limit", I, NULL, "Limit of processes (-1 for unlimited)", NULL, 0},        \
		{0, "platform", S, NULL, "Platform of the image", NULL, 0},                          \
		{0, "privileged", B, NULL, "Give all privileges to the container", NULL, 0},         \
		{'p', "publish", L, NULL, "Publish a port on the host", NULL, 0},                    \
		{'P', "publish-all", B, NULL, "Publish all exposed ports", NULL, 0},                 \
		{0,	    "pull", S, NULL, "When to pull (\"always\", \"missing\", \"never\")",    \
		 "missing", 0},                                                                      \
		{'q', "quiet", B, NULL, "No output of the pull", NULL, 0},                           \
		{0, "read-only", B, NULL, "Mount the root file system read-only", NULL, 0},          \
		{0, "restart", S, NULL, "Restart policy", "no", 0},                                  \
		{0,    "rm", B, NULL, "Remove the container and its anonymous volumes at its exit",  \
		 NULL, 0},                                                                           \
		{0, "runtime", S, NULL, "Runtime of this container", NULL, 0},                       \
		{0, "security-opt", L, NULL, "Security options", NULL, 0},                           \
	{                                                                                            \
		0, "shm-size", M, NULL, "Size of /dev/shm", "0", 0                                   \
	}

#define SHARED_S                                                                                   \
	{0, "stop-signal", S, NULL, "Signal that stops the container", NULL, 0},                   \
		{0, "stop-timeout", I, NULL, "Seconds until a stop kills", NULL, 0},               \
		{0, "storage-opt", L, "map", "Options of the storage driver", NULL, 0},            \
		{0, "sysctl", L, "map", "Kernel parameters", NULL, 0},                             \
		{0, "tmpfs", L, NULL, "Mount a tmpfs", NULL, 0},                                   \
		{'t', "tty", B, NULL, "Allocate a pseudo-TTY", NULL, 0},                           \
		{0, "ulimit", L, "ulimit", "Limits of processes", NULL, 0},                        \
		{0, "use-api-socket", B, NULL, "Give the engine's socket", NULL, U | OPT_HIDDEN},  \
		{'u', "user", S, NULL, "User (name or UID[:group or GID])", NULL, 0},              \
		{0, "userns", S, NULL, "User namespace", NULL, 0},                                 \
		{0, "uts", S, NULL, "UTS namespace", NULL, 0},                                     \
		{'v', "volume", L, NULL, "Mount a directory or volume", NULL, 0},                  \
		{0, "volume-driver", S, NULL, "Volume driver", NULL, 0},                           \
		{0, "volumes-from", L, NULL, "Mount the volumes of containers", NULL, 0},          \
		{'w', "workdir", S, NULL, "Working directory in the container", NULL, 0}, OPT_END

const struct opt create_options[] = {SHARED_A, SHARED_D, SHARED_L, SHARED_S};

const struct opt run_options[] = {
	SHARED_A,
	{'d', "detach", B, NULL, "Run in the background and print the ID", NULL, 0},
	{0, "detach-keys", S, NULL, "Keys that detach from the container", NULL, 0},
	SHARED_D,
	SHARED_L,
	{0, "sig-proxy", B, NULL, "Forward signals to the process", "true", 0},
	SHARED_S,
};
