/* SPDX-License-Identifier: Apache-2.0 */
/* `commit --change` and `import --change`: what each instruction does, and Docker's refusals. */
#include "spec/instructions.h"

#include "cmocka-all.h"

#include <string.h>

#include "base/banned.h"

/* Apply the texts to a configuration given as JSON; the result as JSON, or "!" and the error. */
static const char *apply(struct arena *a, const char *json, const char *const *texts)
{
	struct container_config c = {0};
	struct strs list = {0};
	struct err e = ERR_INIT;
	AUTO_BUF struct buf out = BUF_INIT(1 << 20);
	struct jw w = JW_INIT(&out);

	if (json_decode_text(json, strlen(json), &container_config_schema, &c, a, &e) < 0)
		fail_msg("%s", e.text);
	for (; *texts; texts++)
		strs_push(&list, a, *texts);
	if (instructions_apply(&list, &c, a, &e) < 0)
		return arena_printf(a, "!%s", e.text);
	json_encode(&w, &container_config_schema, &c);
	return arena_strdup(a, buf_text(&out));
}

#define APPLY(json, ...) apply(a, json, (const char *const[]){__VA_ARGS__, NULL})

static void has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("%s\nlacks %s", text, part);
}

static void commands(void **state)
{
	AUTO(arena) struct arena *a = arena_new();

	has(APPLY("{}", "CMD [\"a\",\"b c\"]"), "\"Cmd\":[\"a\",\"b c\"]");
	has(APPLY("{}", "cmd echo $HOME | cat"),
	    "\"Cmd\":[\"/bin/sh\",\"-c\",\"echo $HOME | cat\"]");
	has(APPLY("{\"Shell\":[\"/bin/ash\",\"-e\",\"-c\"]}", "CMD x"),
	    "\"Cmd\":[\"/bin/ash\",\"-e\",\"-c\",\"x\"]");
	/* The command belonged to the old entry point. */
	has(APPLY("{\"Cmd\":[\"old\"]}", "ENTRYPOINT [\"/e\"]"), "\"Cmd\":null");
	has(APPLY("{\"Cmd\":[\"old\"]}", "CMD new", "ENTRYPOINT [\"/e\"]"), "\"new\"]");
	has(APPLY("{}", "ENTRYPOINT []"), "\"Entrypoint\":[]");
	has(APPLY("{}", "CMD [\"a\", 1]"), "\"-c\",\"[\\\"a\\\", 1]\"");
}

static void environment(void **state)
{
	AUTO(arena) struct arena *a = arena_new();

	has(APPLY("{\"Env\":[\"A=1\",\"B=2\"]}", "ENV A=9 C='x y'  D=\"q\\\"r\""),
	    "\"Env\":[\"A=9\",\"B=2\",\"C=x y\",\"D=q\\\"r\"]");
	has(APPLY("{}", "ENV A some  words"), "\"A=some  words\"");
	has(APPLY("{\"Env\":[\"P=/b\"]}",
		  "ENV P=$P:/c Q=${P}x R=${N:-d} S=${P:+set} T='$P' U=\\$P"),
	    "[\"P=/b:/c\",\"Q=/b:/cx\",\"R=d\",\"S=set\",\"T=$P\",\"U=$P\"]");
	has(APPLY("{}", "ENV A=1\n# a comment\nENV B=2 \\\n C=3\n"), "[\"A=1\",\"B=2\",\"C=3\"]");
	has(APPLY("{\"Labels\":{\"z\":\"1\"}}", "LABEL b=2 a=1", "LABEL z=3"),
	    "\"Labels\":{\"a\":\"1\",\"b\":\"2\",\"z\":\"3\"}");
}

static void sets(void **state)
{
	AUTO(arena) struct arena *a = arena_new();

	has(APPLY("{\"ExposedPorts\":{\"80/tcp\":{}}}", "EXPOSE 53/udp 80 7000-7002"),
	    "\"ExposedPorts\":{\"53/udp\":{},\"7000/tcp\":{},\"7001/tcp\":{},\"7002/tcp\":{},"
	    "\"80/tcp\":{}}");
	has(APPLY("{}", "VOLUME [\"/b\",\"/a\"]", "VOLUME /c /a"),
	    "\"Volumes\":{\"/a\":{},\"/b\":{},\"/c\":{}}");
	has(APPLY("{}", "EXPOSE 0-65535"), "\"65535/tcp\"");
}

static void others(void **state)
{
	AUTO(arena) struct arena *a = arena_new();

	has(APPLY("{}", "USER me:grp"), "\"User\":\"me:grp\"");
	has(APPLY("{\"WorkingDir\":\"/a/b\"}", "WORKDIR ../c"), "\"WorkingDir\":\"/a/c\"");
	has(APPLY("{}", "WORKDIR x"), "\"WorkingDir\":\"/x\"");
	has(APPLY("{}", "WORKDIR /x/../../y/"), "\"WorkingDir\":\"/y\"");
	has(APPLY("{}", "STOPSIGNAL SIGUSR1"), "\"StopSignal\":\"SIGUSR1\"");
	has(APPLY("{}", "ONBUILD RUN make", "ONBUILD COPY . /"),
	    "\"OnBuild\":[\"RUN make\",\"COPY . /\"]");
	has(APPLY("{}", "HEALTHCHECK NONE"), "\"Test\":[\"NONE\"]");
	const char *h = APPLY("{}", "HEALTHCHECK --interval=5s --retries=3 CMD curl -f http://x");
	has(h, "\"Test\":[\"CMD-SHELL\",\"curl -f http://x\"]");
	has(h, "\"Interval\":5000000000");
	has(h, "\"Retries\":3");
	has(APPLY("{}", "HEALTHCHECK CMD [\"/ok\"]"), "\"Test\":[\"CMD\",\"/ok\"]");
}

static void refusals(void **state)
{
	static const struct {
		const char *text, *error;
	} t[] = {
		{"RUN rm -rf /", "!run is not a valid change command"},
		{"FROM x", "!from is not a valid change command"},
		{"ENV A", "!ENV must have two arguments"},
		{"ENV A=1 B", "!Syntax error - can't find = in \"B\". Must be of the form: "
			      "name=value"},
		{"ENV =1", "!ENV names can not be blank"},
		{"LABEL", "!LABEL requires at least one argument"},
		{"USER a b", "!USER requires exactly one argument"},
		{"EXPOSE x", "!invalid containerPort: x"},
		{"EXPOSE 1/foo", "!invalid proto: foo"},
		{"EXPOSE 99999", "!invalid containerPort: 99999"},
		{"STOPSIGNAL HURZ", "!invalid signal: HURZ"},
		{"VOLUME [\"\"]", "!VOLUME specified can not be an empty string"},
		{"ONBUILD ONBUILD RUN x", "!Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"},
		{"ONBUILD FROM x", "!FROM isn't allowed as an ONBUILD trigger"},
		{"HEALTHCHECK FOO", "!Unknown type \"FOO\" in HEALTHCHECK (try CMD)"},
		{"HEALTHCHECK --interval=x CMD y", "!time: invalid duration \"x\""},
		{"HEALTHCHECK NONE y", "!HEALTHCHECK NONE takes no arguments"},
		{"ENV A=${B", "!syntax error: missing"},
		{"ENV A=${B%x}", "!unsupported modifier (%x) in substitution"},
		{"ENV A=\"x", "!unexpected end of statement while looking for matching "
			      "double-quote"},
	};
	AUTO(arena) struct arena *a = arena_new();

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		const char *got = APPLY("{}", t[i].text);
		if (strncmp(got, t[i].error, strlen(t[i].error)) != 0)
			fail_msg("%s: got %s", t[i].text, got);
	}
}

/* Memory grows with the text, not with its square. */
static void many(void **state)
{
	AUTO(arena) struct arena *a = arena_new();
	AUTO_BUF struct buf text = BUF_INIT(1 << 20);

	buf_adds(&text, "LABEL");
	for (int i = 0; i < 5000; i++)
		buf_addf(&text, " k%d=v", i);
	for (int i = 0; i < 5000; i++)
		buf_addf(&text, "\nENV E%d=v", i);
	has(APPLY("{}", buf_text(&text)), "\"k4999\":\"v\"");
	assert_true(arena_size(a) < 40 << 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(commands), cmocka_unit_test(environment), cmocka_unit_test(sets),
		cmocka_unit_test(others),   cmocka_unit_test(refusals),	   cmocka_unit_test(many),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
