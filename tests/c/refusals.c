/* What no call takes: NULL, garbage, wrong versions, bad texts. No node is ever started here. */
#include <errno.h>
#include <pthread.h>

#include "check.h"

/* Starts with `config` and expects a refusal that leaves the node alone. */
static void refuse(zone_sync_result_t wanted, const zone_sync_config_t *config) {
    char mark = 0;
    zone_sync_node *untouched = (zone_sync_node *)(void *)&mark;
    zone_sync_node *node = untouched;
    EXPECT(wanted, start_zone_sync(config, &node, NULL, 0, NULL));
    CHECK(node == untouched);
}

static void start_refuses_what_it_cannot_read(void) {
    zone_sync_config_t config = config_text(TEXT("zonesync: {}\n"));
    zone_sync_node *node = NULL;
    char message[8];
    size_t length = 7;

    refuse(ZONE_SYNC_NULL_POINTER, NULL);
    EXPECT(ZONE_SYNC_NULL_POINTER, start_zone_sync(&config, NULL, NULL, 0, NULL));
    EXPECT(ZONE_SYNC_NULL_POINTER, start_zone_sync(&config, &node, NULL, 8, &length));
    EXPECT(ZONE_SYNC_NULL_POINTER, start_zone_sync(&config, &node, message, 8, NULL));
    CHECK(node == NULL && length == 7);

    config.abi_version = ZONE_SYNC_ABI_VERSION + 1;
    refuse(ZONE_SYNC_ABI_MISMATCH, &config);
    config.abi_version = ZONE_SYNC_ABI_VERSION;

    config.flags = 1;
    refuse(ZONE_SYNC_INVALID_ARGUMENT, &config);
    config.flags = 0;

    config.path = config.text;
    refuse(ZONE_SYNC_INVALID_ARGUMENT, &config);
    config.path.data = NULL;
    refuse(ZONE_SYNC_NULL_POINTER, &config); /* a length without bytes */
    config.path.length = 0;

    config.text.data = NULL;
    config.text.length = 0;
    refuse(ZONE_SYNC_NULL_POINTER, &config); /* neither text nor path */

    config = config_text(TEXT("zonesync: \xff\xfe"));
    refuse(ZONE_SYNC_NOT_UTF8, &config);
    config.text.length = SIZE_MAX;
    refuse(ZONE_SYNC_INVALID_ARGUMENT, &config);
}

static void start_tells_what_is_wrong_and_how_long_that_is(void) {
    static const char path[] = "/nowhere/gravitee.yml";
    zone_sync_config_t config = {ZONE_SYNC_ABI_VERSION, 0, {NULL, 0}, {path, sizeof path - 1}};
    zone_sync_node *node = NULL;
    char whole[512];
    char start[8];
    size_t length = 0;
    size_t again = 0;

    memset(whole, '#', sizeof whole);
    EXPECT(ZONE_SYNC_INVALID_CONFIG,
           start_zone_sync(&config, &node, whole, sizeof whole, &length));
    CHECK(length > sizeof path && length < sizeof whole);
    CHECK(whole[length] == '#');
    whole[length] = 0;
    CHECK(strstr(whole, path) != NULL);

    memset(start, '#', sizeof start);
    EXPECT(ZONE_SYNC_INVALID_CONFIG, start_zone_sync(&config, &node, start, 5, &again));
    CHECK(again == length);
    CHECK(memcmp(start, whole, 5) == 0);
    CHECK(memcmp(start + 5, "###", 3) == 0);
    CHECK(node == NULL);
}

/* Calls everything that takes a node, and expects `wanted` and untouched outputs. */
static void refuse_node(zone_sync_result_t wanted, zone_sync_node *node) {
    zone_sync_position_t position;
    zone_sync_position_t before;
    zone_sync_feed *feed = NULL;
    uint8_t bytes[4] = {1, 2, 3, 4};
    char chars[4] = {1, 2, 3, 4};
    size_t length = 99;
    memset(&position, 7, sizeof position);
    memcpy(&before, &position, sizeof before);

    EXPECT(wanted, stop_zone_sync(node));
    EXPECT(wanted, zone_sync_wait_ready(node, 0));
    EXPECT(wanted, zone_sync_status(node, chars, 4, &length));
    EXPECT(wanted, zone_sync_position(node, &position));
    EXPECT(wanted, zone_sync_lookup_key(node, TEXT("a"), TEXT("k"), NULL, 0, ZONE_SYNC_NOW,
                                        ZONE_SYNC_PART_ID, bytes, 4, &length));
    EXPECT(wanted, zone_sync_lookup_md5(node, TEXT("a"), TEXT("k"), NULL, 0, ZONE_SYNC_NOW,
                                        ZONE_SYNC_PART_ID, bytes, 4, &length));
    EXPECT(wanted, zone_sync_lookup_certificate(node, TEXT("a"), TEXT("k"), NULL, 0, ZONE_SYNC_NOW,
                                                ZONE_SYNC_PART_ID, bytes, 4, &length));
    EXPECT(wanted, zone_sync_lookup_client(node, TEXT("a"), TEXT("k"), NULL, 0, ZONE_SYNC_NOW,
                                           ZONE_SYNC_PART_ID, bytes, 4, &length));
    EXPECT(wanted, zone_sync_payload(node, ZONE_SYNC_KIND_API, NULL, 0, TEXT("a"), NULL, 0, bytes,
                                     4, &length));
    EXPECT(wanted, zone_sync_feed_open(node, NULL, &feed));

    CHECK(length == 99 && feed == NULL);
    CHECK(memcmp(&position, &before, sizeof position) == 0);
    CHECK(bytes[0] == 1 && bytes[3] == 4 && chars[0] == 1 && chars[3] == 4);
}

static void refuse_feed(zone_sync_result_t wanted, zone_sync_feed *feed) {
    zone_sync_position_t position;
    zone_sync_change_t change;
    size_t count = 99;
    EXPECT(wanted, zone_sync_feed_next(feed, 0, &position, &count));
    EXPECT(wanted, zone_sync_feed_change(feed, 0, &change));
    CHECK(count == 99);
}

static void no_handle_is_no_handle(void) {
    static uint64_t garbage[64];
    refuse_node(ZONE_SYNC_NULL_POINTER, NULL);
    refuse_feed(ZONE_SYNC_NULL_POINTER, NULL);
    refuse_node(ZONE_SYNC_INVALID_HANDLE, (zone_sync_node *)(void *)garbage);
    refuse_feed(ZONE_SYNC_INVALID_HANDLE, (zone_sync_feed *)(void *)garbage);
    refuse_node(ZONE_SYNC_INVALID_HANDLE, (zone_sync_node *)(void *)((char *)garbage + 1));
    zone_sync_node_free((zone_sync_node *)(void *)garbage);
    zone_sync_feed_free((zone_sync_feed *)(void *)((char *)garbage + 1));
}

static void *free_nothing(void *unused) {
    for (int i = 0; i < 1000; i++) {
        zone_sync_node_free(NULL);
        zone_sync_feed_free(NULL);
    }
    return unused;
}

static void null_may_be_freed_by_many(void) {
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) {
        CHECK(pthread_create(&threads[i], NULL, free_nothing, NULL) == 0);
    }
    for (int i = 0; i < 4; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
}

static void errno_stays(void) {
    static const char path[] = "/nowhere/gravitee.yml";
    zone_sync_config_t config = {ZONE_SYNC_ABI_VERSION, 0, {NULL, 0}, {path, sizeof path - 1}};
    zone_sync_node *node = NULL;
    errno = 77;
    EXPECT(ZONE_SYNC_INVALID_CONFIG, start_zone_sync(&config, &node, NULL, 0, NULL));
    CHECK(errno == 77);
}

int main(void) {
    start_refuses_what_it_cannot_read();
    start_tells_what_is_wrong_and_how_long_that_is();
    no_handle_is_no_handle();
    null_may_be_freed_by_many();
    errno_stays();
    return 0;
}
