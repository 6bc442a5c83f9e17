/* SPDX-License-Identifier: BSD-2-Clause */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "publish.h"
#include "sign.h"

#define USER_ID_MAX 200

static void reply_report(struct request *request, unsigned status, json_t *report)
{
	if (report)
		reply_json(request, status, report);
	else
		reply_problem(request);
}

void api_publish(struct request *request)
{
	static const struct request_member members[] = { { "if_generation", JSON_INTEGER } };
	json_t *body = REQUEST_JSON(request, members), *expected, *report = NULL;

	expected = json_object_get(body, "if_generation");
	if (expected && json_integer_value(expected) < 0)
		problem_set(&request->problem, 400, "bad-argument", NULL,
			    "if_generation is what \"sluice-repo publish --show\" shows, or 0");
	else if (body)
		report = publish_run(request->repod->publisher, request->who.name,
				     expected ? json_integer_value(expected) : -1,
				     &request->problem);
	json_decref(body);
	reply_report(request, 200, report);
}

void api_publish_show(struct request *request)
{
	reply_report(request, 200, publish_show(request->repod->publisher, &request->problem));
}

static json_t *keys_json(struct request *request)
{
	struct sign_keys keys;
	json_t *list = json_array();
	int err = sign_keys_load(request->repod->store, &keys);

	if (err) {
		json_decref(list);
		problem_errno(&request->problem, err, "key");
		return NULL;
	}
	for (unsigned i = 0; i < keys.count; i++)
		json_array_append_new(list, json_string(keys.fingerprint[i]));
	return json_pack("{s:o}", "fingerprints", list);
}

void api_key_show(struct request *request)
{
	reply_report(request, 200, keys_json(request));
}

/* What gpg is given as a user id: printable, and no option. */
static bool user_id_valid(const char *text)
{
	size_t len = strlen(text);

	if (!len || len > USER_ID_MAX || *text == '-')
		return false;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return false;
	return true;
}

/* {"action": "create", "name": …}, {"action": "import", "key": …}, {"action": "retire",
 * "fingerprint": …} */
void api_key_make(struct request *request)
{
	struct repod *repod = request->repod;
	struct problem *problem = &request->problem;
	static const struct request_member members[] = { { "action", JSON_STRING },
							 { "name", JSON_STRING },
							 { "key", JSON_STRING },
							 { "fingerprint", JSON_STRING } };
	json_t *body = REQUEST_JSON(request, members);
	const char *action = json_string_value(json_object_get(body, "action"));
	const char *name = json_string_value(json_object_get(body, "name"));
	const char *key = json_string_value(json_object_get(body, "key"));
	const char *old = json_string_value(json_object_get(body, "fingerprint"));
	char fingerprint[SIGN_FINGERPRINT_LEN + 1] = "";

	if (problem->status)
		goto out;
	name = name ? name : "sluice repository";
	if (action && !strcmp(action, "create") && user_id_valid(name))
		sign_key_add(repod->store, name, NULL, fingerprint, problem);
	else if (action && !strcmp(action, "import") && key)
		sign_key_add(repod->store, NULL, key, fingerprint, problem);
	else if (action && !strcmp(action, "retire") && old &&
		 strspn(old, "0123456789ABCDEF") == SIGN_FINGERPRINT_LEN &&
		 !old[SIGN_FINGERPRINT_LEN]) {
		strcpy(fingerprint, old);
		sign_key_retire(repod->store, old, problem);
	} else {
		problem_set(problem, 400, "bad-argument", "action: create, import or retire",
			    "action, name, key or fingerprint is missing or wrong");
	}
	if (!problem->status)
		db_audit_alone(repod->db, request->who.name, "key", fingerprint, action);
out:
	json_decref(body);
	reply_report(request, 200, problem->status ? NULL : keys_json(request));
}

static void serve_key(struct request *request, const char *name, const char *type)
{
	int fd = openat(request->repod->store->dir, name, O_RDONLY | O_CLOEXEC);

	if (fd >= 0) {
		serve_file(request, fd, NULL, type, NULL);
		return;
	}
	problem_set(&request->problem, 404, "no-key", NULL, "there is no signing key yet");
	reply_problem(request);
}

void api_key_armored(struct request *request)
{
	serve_key(request, "key.asc", "application/pgp-keys");
}

void api_key_binary(struct request *request)
{
	serve_key(request, "key.gpg", "application/pgp-keys");
}
