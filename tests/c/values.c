/* Sizes, versions and texts: what a program can know without a node. */
#include <errno.h>
#include <stddef.h>

#include "check.h"

#ifdef __cplusplus
#define STATIC_ASSERT static_assert
#else
#define STATIC_ASSERT _Static_assert
#endif

STATIC_ASSERT(sizeof(zone_sync_result_t) == 4, "results are 32 bits wide");
STATIC_ASSERT(sizeof(zone_sync_action_t) == 4, "actions are 32 bits wide");
STATIC_ASSERT(sizeof(zone_sync_text_t) == 2 * sizeof(void *), "text");
STATIC_ASSERT(sizeof(zone_sync_bytes_t) == 2 * sizeof(void *), "bytes");
STATIC_ASSERT(sizeof(zone_sync_position_t) == 32, "position");
STATIC_ASSERT(offsetof(zone_sync_position_t, term_id) == 16, "position");
STATIC_ASSERT(sizeof(zone_sync_config_t) == 8 + 4 * sizeof(void *), "config");
STATIC_ASSERT(offsetof(zone_sync_config_t, path) == 8 + 2 * sizeof(void *), "config");
STATIC_ASSERT(sizeof(zone_sync_change_t) == 8 + 8 * sizeof(void *), "change");
STATIC_ASSERT(offsetof(zone_sync_change_t, payload) == 8 + 6 * sizeof(void *), "change");

static void the_library_is_the_headers(void) {
    char wanted[64];
    zone_sync_text_t version = zone_sync_version();
    int length = snprintf(wanted, sizeof wanted, "%d.%d.%d", ZONE_SYNC_VERSION_MAJOR,
                          ZONE_SYNC_VERSION_MINOR, ZONE_SYNC_VERSION_PATCH);
    CHECK(version.length == (size_t)length);
    CHECK(memcmp(version.data, wanted, version.length) == 0);
    CHECK(zone_sync_abi_version() == ZONE_SYNC_ABI_VERSION);
    CHECK(ZONE_SYNC_NOW == -1);
}

static void numbers_stay(void) {
    CHECK(ZONE_SYNC_OK == 0 && ZONE_SYNC_NULL_POINTER == 1 && ZONE_SYNC_INVALID_ARGUMENT == 2);
    CHECK(ZONE_SYNC_NOT_UTF8 == 3 && ZONE_SYNC_INVALID_HANDLE == 4 && ZONE_SYNC_FORKED == 5);
    CHECK(ZONE_SYNC_PANIC == 6 && ZONE_SYNC_ABI_MISMATCH == 7 && ZONE_SYNC_INVALID_CONFIG == 8);
    CHECK(ZONE_SYNC_START_FAILED == 9 && ZONE_SYNC_BUFFER_TOO_SMALL == 10);
    CHECK(ZONE_SYNC_NOT_FOUND == 11 && ZONE_SYNC_TIMED_OUT == 12 && ZONE_SYNC_STOPPED == 13);
    CHECK(ZONE_SYNC_BEHIND == 14 && ZONE_SYNC_BUSY == 15);
    CHECK(ZONE_SYNC_DEPLOY == 1 && ZONE_SYNC_UNDEPLOY == 2);
    CHECK(ZONE_SYNC_PART_PAYLOAD == 0 && ZONE_SYNC_PART_ID == 1 && ZONE_SYNC_PART_PLAN == 2);
    CHECK(ZONE_SYNC_KIND_DICTIONARY == 5 && ZONE_SYNC_KIND_API == 12);
    CHECK(ZONE_SYNC_KIND_SUBSCRIPTION == 13 && ZONE_SYNC_KIND_API_KEY == 14);
}

static int is(zone_sync_text_t text, const char *wanted) {
    return text.length == strlen(wanted) && memcmp(text.data, wanted, text.length) == 0;
}

static void each_result_has_a_text(void) {
    CHECK(is(zone_sync_result_text(ZONE_SYNC_OK), "ok"));
    CHECK(is(zone_sync_result_text(ZONE_SYNC_TIMED_OUT), "timed out"));
    CHECK(!is(zone_sync_result_text(ZONE_SYNC_BUSY), "unknown result"));
    CHECK(is(zone_sync_result_text(ZONE_SYNC_BUSY + 1), "unknown result"));
    CHECK(is(zone_sync_result_text(UINT32_MAX), "unknown result"));
}

int main(void) {
    the_library_is_the_headers();
    numbers_stay();
    each_result_has_a_text();
    return 0;
}
