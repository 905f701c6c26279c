/* The change feed: a change of the folder arrives, and is lent for as long as promised. */
#include <pthread.h>
#include <unistd.h>

#include "check.h"

static void a_quiet_feed_times_out(zone_sync_feed *feed) {
    zone_sync_position_t position;
    zone_sync_change_t change;
    size_t count = 99;
    EXPECT(ZONE_SYNC_TIMED_OUT, zone_sync_feed_next(feed, 0, &position, &count));
    CHECK(count == 99);
    EXPECT(ZONE_SYNC_NOT_FOUND, zone_sync_feed_change(feed, 0, &change));
    EXPECT(ZONE_SYNC_NULL_POINTER, zone_sync_feed_next(feed, 0, NULL, &count));
    EXPECT(ZONE_SYNC_NULL_POINTER, zone_sync_feed_next(feed, 0, &position, NULL));
    EXPECT(ZONE_SYNC_NULL_POINTER, zone_sync_feed_change(feed, 0, NULL));
}

/* Adds a key beside those that are there: a file of rows of its own. */
static void add_key(const char *folder) {
    char path[2048];
    CHECK(snprintf(path, sizeof path, "%s/more.json", folder) < (int)sizeof path);
    FILE *file = fopen(path, "w");
    CHECK(file != NULL);
    fputs("{\"keys\":[{\"id\":\"key-row-2\",\"key\":\"key-2\",\"subscriptions\":[\"" SUBSCRIPTION
          "\"],\"application\":\"application-1\"}]}\n",
          file);
    CHECK(fclose(file) == 0);
}

static int is(zone_sync_text_t text, const char *wanted) {
    return text.length == strlen(wanted) && memcmp(text.data, wanted, text.length) == 0;
}

static void a_new_key_arrives(zone_sync_feed *feed) {
    zone_sync_position_t position;
    zone_sync_change_t change;
    size_t count = 0;
    for (;;) {
        EXPECT(ZONE_SYNC_OK, zone_sync_feed_next(feed, 20000, &position, &count));
        for (size_t i = 0; i < count; i++) {
            EXPECT(ZONE_SYNC_OK, zone_sync_feed_change(feed, i, &change));
            if (change.kind == ZONE_SYNC_KIND_API_KEY && change.action == ZONE_SYNC_DEPLOY) {
                CHECK(is(change.scope, API) && is(change.subscription, SUBSCRIPTION));
                CHECK(change.payload.length > 2 && change.payload.data[0] == '{');
                EXPECT(ZONE_SYNC_NOT_FOUND, zone_sync_feed_change(feed, count, &change));
                EXPECT(ZONE_SYNC_NOT_FOUND, zone_sync_feed_change(feed, SIZE_MAX, &change));
                return;
            }
        }
    }
}

static void *wait_long(void *feed) {
    zone_sync_position_t position;
    size_t count = 0;
    zone_sync_result_t result = ZONE_SYNC_OK;
    while (result == ZONE_SYNC_OK) {
        result = zone_sync_feed_next((zone_sync_feed *)feed, 20000, &position, &count);
    }
    EXPECT(ZONE_SYNC_STOPPED, result);
    return NULL;
}

static void a_second_thread_is_told_that_it_is_busy(zone_sync_node *node, zone_sync_feed *feed) {
    zone_sync_change_t change;
    zone_sync_result_t result = ZONE_SYNC_OK;
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, wait_long, feed) == 0);
    for (int i = 0; i < 10000 && result != ZONE_SYNC_BUSY; i++) {
        usleep(1000);
        result = zone_sync_feed_change(feed, 0, &change);
    }
    EXPECT(ZONE_SYNC_BUSY, result);
    EXPECT(ZONE_SYNC_OK, stop_zone_sync(node));
    CHECK(pthread_join(thread, NULL) == 0);
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    zone_sync_node *node = ready_node(argv[1]);
    zone_sync_feed *feed = NULL;
    EXPECT(ZONE_SYNC_OK, zone_sync_feed_open(node, NULL, &feed));
    a_quiet_feed_times_out(feed);
    add_key(argv[1]);
    a_new_key_arrives(feed);

    uint8_t id[64];
    size_t length = 0;
    EXPECT(ZONE_SYNC_OK, zone_sync_lookup_key(node, TEXT(API), TEXT("key-2"), NULL, 0,
                                              ZONE_SYNC_NOW, ZONE_SYNC_PART_ID, id, sizeof id,
                                              &length));
    a_second_thread_is_told_that_it_is_busy(node, feed);
    zone_sync_feed_free(feed);
    zone_sync_node_free(node);
    return 0;
}
