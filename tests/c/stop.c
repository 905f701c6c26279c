/* Stopping: twice, beside lookups and waits of other threads, and what goes on after it. */
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "check.h"

enum { LOOKERS = 4 };

static atomic_int looking;
static atomic_int over;

static void look(const zone_sync_node *node) {
    uint8_t id[64];
    size_t length = 0;
    EXPECT(ZONE_SYNC_OK, zone_sync_lookup_key(node, TEXT(API), TEXT(KEY), NULL, 0, ZONE_SYNC_NOW,
                                              ZONE_SYNC_PART_ID, id, sizeof id, &length));
    CHECK(length == strlen(SUBSCRIPTION) && memcmp(id, SUBSCRIPTION, length) == 0);
}

static void *look_until_over(void *node) {
    atomic_fetch_add(&looking, 1);
    while (!atomic_load(&over)) {
        look((const zone_sync_node *)node);
    }
    return NULL;
}

/* Reads a feed until the node stops; the changes before come first. */
static void *wait_for_stop(void *node) {
    zone_sync_feed *feed = NULL;
    zone_sync_position_t position;
    size_t count = 0;
    zone_sync_result_t result = ZONE_SYNC_OK;
    EXPECT(ZONE_SYNC_OK, zone_sync_feed_open((const zone_sync_node *)node, NULL, &feed));
    atomic_fetch_add(&looking, 1);
    while (result == ZONE_SYNC_OK) {
        result = zone_sync_feed_next(feed, 20000, &position, &count);
    }
    EXPECT(ZONE_SYNC_STOPPED, result);
    zone_sync_feed_free(feed);
    return NULL;
}

static void *stop(void *node) {
    EXPECT(ZONE_SYNC_OK, stop_zone_sync((zone_sync_node *)node));
    return NULL;
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    zone_sync_node *node = ready_node(argv[1]);
    pthread_t threads[LOOKERS + 1];
    for (int i = 0; i < LOOKERS; i++) {
        CHECK(pthread_create(&threads[i], NULL, look_until_over, node) == 0);
    }
    CHECK(pthread_create(&threads[LOOKERS], NULL, wait_for_stop, node) == 0);
    while (atomic_load(&looking) < LOOKERS + 1) {
        usleep(1000);
    }

    /* Two at once, then once more: all of them succeed. */
    pthread_t stoppers[2];
    for (int i = 0; i < 2; i++) {
        CHECK(pthread_create(&stoppers[i], NULL, stop, node) == 0);
    }
    for (int i = 0; i < 2; i++) {
        CHECK(pthread_join(stoppers[i], NULL) == 0);
    }
    stop(node);
    usleep(50000);
    atomic_store(&over, 1);
    for (int i = 0; i < LOOKERS + 1; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
    }

    look(node);
    EXPECT(ZONE_SYNC_OK, zone_sync_wait_ready(node, 0)); /* once ready, always ready */

    /* A feed outlives its node. */
    zone_sync_feed *feed = NULL;
    zone_sync_position_t position;
    size_t count = 0;
    EXPECT(ZONE_SYNC_OK, zone_sync_feed_open(node, NULL, &feed));
    zone_sync_node_free(node);
    EXPECT(ZONE_SYNC_STOPPED, zone_sync_feed_next(feed, 0, &position, &count));
    zone_sync_feed_free(feed);
    return 0;
}
