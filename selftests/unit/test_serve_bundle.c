/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * When the control machine has the bundle open: transfers and a clock are played here, and bundles
 * that are switched, cannot be read, or are on a medium that comes and goes.
 */
#include "../../user/cluster/serve_bundle.c"
#include "unit.h"

#define SIZE 1000000
#define OLD  "0000000000000000000000000000000000000000000000000000000000000000"
#define NEW  "1111111111111111111111111111111111111111111111111111111111111111"
#define SEAL "2222222222222222222222222222222222222222222222222222222222222222"

struct bundle {
	const char *blob;
};
/* Those that were sent, at most two at once. */
struct MHD_Response {
	MHD_ContentReaderCallback read;
	MHD_ContentReaderFreeCallback end;
	void *arg;
	uint64_t at;
};

static struct config config = { .nodes_count = 1 };
static struct serve serve = { .lock = PTHREAD_MUTEX_INITIALIZER, .config = &config };
static struct MHD_Response responses[2];
static const char *holds = OLD, *path = "/a"; /* what lies there */
static int64_t now = 100000, opening;
static unsigned opened;
static ssize_t read_fails;
static bool gone, no_response; /* gone: the medium, with what a directory of it has open */

int64_t state_ticks(void)
{
	return now;
}

char *state_meta(struct state *state, const char *key)
{
	return strcmp(key, "bundle") ? NULL : strdup(path);
}

int bundle_open(const char *const *paths, size_t count, const struct bundle_trust *trust,
		struct bundle **ret_bundle, struct bundle_error *error)
{
	now += opening;
	opened++;
	if (gone)
		return -ENOENT;
	*ret_bundle = malloc(sizeof(**ret_bundle));
	(*ret_bundle)->blob = holds;
	return 0;
}

void bundle_close(struct bundle *bundle)
{
	free(bundle);
}

const struct bundle_manifest *bundle_manifest(const struct bundle *bundle)
{
	static struct bundle_blob blob = { .size = SIZE };
	static const struct bundle_manifest manifest = { .blobs = &blob, .blobs_count = 1 };

	strcpy(blob.digest, bundle->blob);
	return &manifest;
}

const char *bundle_manifest_json(const struct bundle *bundle, struct bundle_blob *ret_blob)
{
	*ret_blob = (struct bundle_blob){ .digest = SEAL, .size = SIZE };
	return "{}";
}

bool bundle_has(const struct bundle *bundle, const char *digest)
{
	return !gone && (!strcmp(digest, SEAL) || !strcmp(digest, bundle->blob));
}

const char *bundle_index(const struct bundle *bundle, size_t *ret_len)
{
	*ret_len = 2;
	return "{}";
}

ssize_t bundle_read(struct bundle *bundle, const char *digest, void *buffer, size_t len,
		    uint64_t offset)
{
	if (!bundle_has(bundle, digest))
		return -ENODATA;
	return read_fails ? read_fails : (ssize_t)len;
}

/* ---- the server ------------------------------------------------------------------------------ */

struct MHD_Response *MHD_create_response_from_callback(uint64_t size, size_t block,
						       MHD_ContentReaderCallback read, void *arg,
						       MHD_ContentReaderFreeCallback end)
{
	struct MHD_Response *response = responses[0].arg ? &responses[1] : &responses[0];

	if (no_response)
		return NULL;
	*response = (struct MHD_Response){ .read = read, .end = end, .arg = arg };
	return response;
}

enum MHD_Result MHD_add_response_header(struct MHD_Response *response, const char *name,
					const char *value)
{
	return MHD_YES;
}

enum MHD_Result MHD_queue_response(struct MHD_Connection *connection, unsigned status,
				   struct MHD_Response *response)
{
	return MHD_YES;
}

/* The connection has it yet. */
void MHD_destroy_response(struct MHD_Response *response)
{
}

const char *MHD_lookup_connection_value(struct MHD_Connection *connection, enum MHD_ValueKind kind,
					const char *key)
{
	return NULL;
}

enum MHD_Result serve_reply(struct request *request, unsigned status, const char *type,
			    const char *text)
{
	return MHD_YES;
}

enum MHD_Result serve_problem(struct request *request, unsigned status, const char *why)
{
	return MHD_NO;
}

const char *serve_argument(const struct request *request, const char *name)
{
	return "";
}

/* A list of a large blob is made on a busy machine. */
enum MHD_Result serve_pieces(struct request *request, const char *digest, uint64_t size)
{
	char buffer[16];

	for (unsigned i = 0; i < 5; i++) {
		now += 30000;
		serve_bundle_idle(&serve);
		CHECK(serve.bundle && serve_bundle_read(&serve, digest, buffer, 16, 0) == 16);
	}
	return MHD_YES;
}

/* ---- cases ----------------------------------------------------------------------------------- */

static bool asks(const char *digest, bool pieces)
{
	struct request request = { .serve = &serve };

	return serve_blob(&request, digest, pieces) == MHD_YES;
}

/* Does the transfer go on, after so long? */
static bool goes_on(unsigned i, int64_t ms)
{
	struct MHD_Response *response = &responses[i];
	char buffer[16];
	ssize_t n;

	for (int64_t done = 0; done < ms; done += 1000) {
		now += 1000;
		serve_bundle_idle(&serve);
	}
	n = response->read(response->arg, response->at, buffer, sizeof(buffer));
	response->at += n > 0 ? (uint64_t)n : 0;
	return n == sizeof(buffer);
}

static void ends(unsigned i)
{
	responses[i].end(responses[i].arg);
	responses[i] = (struct MHD_Response){ NULL, NULL, NULL, 0 };
}

static bool is_open_after(int64_t ms)
{
	now += ms;
	serve_bundle_idle(&serve);
	return serve.bundle;
}

static void test_idle(void)
{
	unit_case = "a transfer over a link with gaps";
	CHECK(asks(OLD, false));
	for (unsigned i = 0; i < 4; i++)
		CHECK(goes_on(0, 100000));
	CHECK_THAT(opened == 1, "opened %u times", opened);

	unit_case = "a medium can be taken out";
	CHECK(is_open_after(60000));
	ends(0);
	CHECK(is_open_after(9000));
	CHECK(!is_open_after(2000));

	unit_case = "a list of pieces takes long";
	CHECK(asks(OLD, true));
	CHECK(is_open_after(9000));
	CHECK(!is_open_after(2000));

	unit_case = "who is not served does not keep it open";
	CHECK(!asks(NEW, false));
	no_response = true;
	CHECK(!asks(OLD, false));
	no_response = false;
	CHECK(serve.bundle);
	CHECK(!is_open_after(11000));

	unit_case = "opening takes long";
	opening = 20000;
	CHECK(asks(OLD, false));
	opening = 0;
	CHECK(goes_on(0, 0));
	ends(0);
	CHECK(is_open_after(9000));
	CHECK(!is_open_after(2000));
}

static void test_others(void)
{
	unit_case = "another bundle is applied during a transfer";
	CHECK(asks(OLD, false));
	path = "/b";
	holds = NEW;
	CHECK(asks(NEW, false));
	opened = 0;
	CHECK(!goes_on(0, 1000));
	CHECK(goes_on(1, 1000));
	CHECK_THAT(!opened, "opened %u times", opened);
	ends(0);
	CHECK(goes_on(1, 60000));

	unit_case = "a bad sector under one of two transfers";
	CHECK(asks(NEW, false));
	read_fails = -EIO;
	CHECK(!goes_on(0, 1000));
	read_fails = 0;
	CHECK(goes_on(1, 1000));
	ends(0);

	unit_case = "a medium that was taken out is back";
	gone = true;
	CHECK(!goes_on(1, 1000));
	CHECK(!serve.bundle);
	CHECK(!goes_on(1, 1000));
	gone = false;
	CHECK(goes_on(1, 1000));
	ends(1);
	gone = true;
	CHECK(!asks(NEW, false));
	CHECK(!serve.bundle);
	gone = false;
	CHECK(asks(NEW, false));
	ends(0);
	CHECK(!serve.bundle_readers);
}

int main(void)
{
	static struct cluster cluster;

	serve.cluster = &cluster;
	test_idle();
	test_others();
	serve_bundle_close(&serve);
	return unit_end();
}
