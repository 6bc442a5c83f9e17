/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which blobs an item needs: by type, in the container's order, each once; and that a manifest as
 * large as one may be is answered in the time of sorting, not of comparing all with all.
 */
#include "../../user/lib/bundle.h"
#include "unit.h"

#define ITEMS 8

static void name_blob(struct bundle_blob *blob, unsigned number)
{
	/* Alike until the end, as comparing would like least. */
	snprintf(blob->digest, sizeof(blob->digest), "%064x", number);
	blob->size = number + 1;
}

static char *words(const struct bundle_manifest *manifest, const struct bundle_item *item)
{
	static char text[256];
	struct bundle_blob *blobs = NULL;
	size_t count = 0, len = 0;

	text[0] = '\0';
	if (!CHECK(!bundle_item_blobs(manifest, item, &blobs, &count)))
		return text;
	for (size_t i = 0; i < count; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%lu", i ? " " : "",
					(unsigned long)strtoul(blobs[i].digest + 56, NULL, 16));
	free(blobs);
	return text;
}

static void test_types(void)
{
	struct bundle_blob blobs[9], image_blobs[2];
	struct bundle_package packages[3] = { 0 };
	struct bundle_file files[4] = {
		{ .path = (char *)"dists/stable/InRelease" },
		{ .path = (char *)"key.gpg" },
		{ .path = (char *)"pool/a.deb" },
		{ .path = (char *)"pool/b.deb" },
	};
	struct bundle_manifest manifest = {
		.files = files, .files_count = 4, .blobs = blobs, .blobs_count = 9
	};
	struct bundle_item deb = { .type = BUNDLE_DEB, .packages = packages, .packages_count = 3 };
	struct bundle_item tarball = { .type = BUNDLE_TARBALL };
	struct bundle_item image = { .type = BUNDLE_IMAGE,
				     .image_blobs = image_blobs,
				     .image_blobs_count = 2 };

	for (unsigned i = 0; i < 9; i++)
		name_blob(&blobs[i], i);
	for (unsigned i = 0; i < 4; i++)
		name_blob(&files[i].blob, i);
	/* Two packages of one content, and one that no container has. */
	name_blob(&packages[0].blob, 3);
	name_blob(&packages[1].blob, 3);
	name_blob(&packages[2].blob, 77);
	name_blob(&tarball.tarball, 4);
	name_blob(&image.image, 8);
	name_blob(&image_blobs[0], 6);
	name_blob(&image_blobs[1], 5);

	unit_case = "packages";
	CHECK_THAT(!strcmp(words(&manifest, &deb), "0 1 3"), "%s", words(&manifest, &deb));
	unit_case = "tarball";
	CHECK_THAT(!strcmp(words(&manifest, &tarball), "4"), "%s", words(&manifest, &tarball));
	unit_case = "image";
	CHECK_THAT(!strcmp(words(&manifest, &image), "5 6 8"), "%s", words(&manifest, &image));
}

static void test_largest(void)
{
	struct bundle_manifest manifest = { .blobs_count = BUNDLE_BLOBS_MAX };
	struct bundle_package *packages = calloc(BUNDLE_BLOBS_MAX, sizeof(*packages));
	struct bundle_item items[ITEMS] = { 0 };
	struct bundle_blob *got;
	size_t count;

	unit_case = "largest";
	manifest.blobs = calloc(BUNDLE_BLOBS_MAX, sizeof(*manifest.blobs));
	if (!CHECK(packages && manifest.blobs))
		exit(1);
	for (unsigned i = 0; i < BUNDLE_BLOBS_MAX; i++) {
		name_blob(&manifest.blobs[i], i);
		name_blob(&packages[i].blob, i);
	}
	/* Sixteen times each: all with all would be some 70,000,000,000 comparisons. */
	for (unsigned i = 0; i < 16 * ITEMS; i++) {
		struct bundle_item *item = &items[i % ITEMS];

		item->type = BUNDLE_DEB;
		item->packages = packages + (i % ITEMS) * BUNDLE_PACKAGES_MAX;
		item->packages_count = BUNDLE_PACKAGES_MAX;
		if (!CHECK(!bundle_item_blobs(&manifest, item, &got, &count)))
			break;
		CHECK_THAT(count == BUNDLE_PACKAGES_MAX, "%zu", count);
		CHECK(!strcmp(got[0].digest, item->packages[0].blob.digest));
		free(got);
	}
	free(manifest.blobs);
	free(packages);
}

int main(void)
{
	test_types();
	test_largest();
	return unit_end();
}
