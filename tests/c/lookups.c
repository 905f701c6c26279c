/* Answers of a node that is ready, and buffers that are too small for them. */
#include "check.h"

static void every_way_in_finds_the_subscription(const zone_sync_node *node) {
    uint8_t id[64];
    size_t length = 0;
    EXPECT(ZONE_SYNC_OK, zone_sync_lookup_key(node, TEXT(API), TEXT(KEY), NULL, 0, ZONE_SYNC_NOW,
                                              ZONE_SYNC_PART_ID, id, sizeof id, &length));
    CHECK(length == strlen(SUBSCRIPTION) && memcmp(id, SUBSCRIPTION, length) == 0);
    EXPECT(ZONE_SYNC_OK, zone_sync_lookup_key(node, TEXT(API), TEXT(KEY), TEXT(PLAN), 1000,
                                              ZONE_SYNC_PART_PLAN, id, sizeof id, &length));
    CHECK(length == strlen(PLAN) && memcmp(id, PLAN, length) == 0);
    EXPECT(ZONE_SYNC_OK, zone_sync_lookup_md5(node, TEXT(API), TEXT(KEY_MD5), NULL, 0,
                                              ZONE_SYNC_NOW, ZONE_SYNC_PART_ID, id, sizeof id,
                                              &length));
    CHECK(length == strlen(SUBSCRIPTION) && memcmp(id, SUBSCRIPTION, length) == 0);
    EXPECT(ZONE_SYNC_OK, zone_sync_lookup_client(node, TEXT(API), TEXT(CLIENT), NULL, 0,
                                                 ZONE_SYNC_NOW, ZONE_SYNC_PART_ID, id, sizeof id,
                                                 &length));
    CHECK(length == strlen(SUBSCRIPTION) && memcmp(id, SUBSCRIPTION, length) == 0);
}

static void what_is_not_there_is_not_found(const zone_sync_node *node) {
    uint8_t id[64];
    size_t length = 99;
    memset(id, '#', sizeof id);
    EXPECT(ZONE_SYNC_NOT_FOUND, zone_sync_lookup_key(node, TEXT(API), TEXT("other"), NULL, 0,
                                                     ZONE_SYNC_NOW, ZONE_SYNC_PART_ID, id,
                                                     sizeof id, &length));
    EXPECT(ZONE_SYNC_NOT_FOUND, zone_sync_lookup_key(node, TEXT(API), TEXT(KEY), TEXT("other"),
                                                     ZONE_SYNC_NOW, ZONE_SYNC_PART_ID, id,
                                                     sizeof id, &length));
    EXPECT(ZONE_SYNC_NOT_FOUND, zone_sync_lookup_key(node, TEXT(API), TEXT(KEY), "", 0,
                                                     ZONE_SYNC_NOW, ZONE_SYNC_PART_ID, id,
                                                     sizeof id, &length));
    EXPECT(ZONE_SYNC_NOT_FOUND, zone_sync_lookup_certificate(node, TEXT(API), TEXT("x"), NULL, 0,
                                                             ZONE_SYNC_NOW, ZONE_SYNC_PART_ID, id,
                                                             sizeof id, &length));
    EXPECT(ZONE_SYNC_NOT_FOUND, zone_sync_payload(node, ZONE_SYNC_KIND_API, NULL, 0, TEXT("other"),
                                                  NULL, 0, id, sizeof id, &length));
    char long_id[600];
    memset(long_id, 'x', sizeof long_id);
    EXPECT(ZONE_SYNC_NOT_FOUND, zone_sync_payload(node, ZONE_SYNC_KIND_API, NULL, 0, long_id,
                                                  sizeof long_id, NULL, 0, id, sizeof id, &length));
    CHECK(length == 99 && id[0] == '#');
}

static void wrong_arguments_are_told_apart(const zone_sync_node *node) {
    uint8_t id[64];
    size_t length = 99;
    EXPECT(ZONE_SYNC_NULL_POINTER, zone_sync_lookup_key(node, NULL, 0, TEXT(KEY), NULL, 0,
                                                        ZONE_SYNC_NOW, 0, id, 64, &length));
    EXPECT(ZONE_SYNC_NULL_POINTER, zone_sync_lookup_key(node, TEXT(API), NULL, 0, NULL, 0,
                                                        ZONE_SYNC_NOW, 0, id, 64, &length));
    EXPECT(ZONE_SYNC_NULL_POINTER, zone_sync_lookup_key(node, TEXT(API), TEXT(KEY), NULL, 3,
                                                        ZONE_SYNC_NOW, 0, id, 64, &length));
    EXPECT(ZONE_SYNC_NULL_POINTER, zone_sync_lookup_key(node, TEXT(API), TEXT(KEY), NULL, 0,
                                                        ZONE_SYNC_NOW, 0, id, 64, NULL));
    EXPECT(ZONE_SYNC_NULL_POINTER, zone_sync_lookup_key(node, TEXT(API), TEXT(KEY), NULL, 0,
                                                        ZONE_SYNC_NOW, 0, NULL, 64, &length));
    EXPECT(ZONE_SYNC_NOT_UTF8, zone_sync_lookup_key(node, TEXT(API), TEXT("\xc3"), NULL, 0,
                                                    ZONE_SYNC_NOW, 0, id, 64, &length));
    EXPECT(ZONE_SYNC_INVALID_ARGUMENT, zone_sync_lookup_key(node, TEXT(API), TEXT(KEY), NULL, 0, -2,
                                                            0, id, 64, &length));
    EXPECT(ZONE_SYNC_INVALID_ARGUMENT, zone_sync_lookup_key(node, TEXT(API), TEXT(KEY), NULL, 0,
                                                            ZONE_SYNC_NOW, 3, id, 64, &length));
    EXPECT(ZONE_SYNC_INVALID_ARGUMENT, zone_sync_payload(node, 0, NULL, 0, TEXT(API), NULL, 0, id,
                                                         64, &length));
    EXPECT(ZONE_SYNC_INVALID_ARGUMENT, zone_sync_payload(node, 256 + 12, NULL, 0, TEXT(API), NULL,
                                                         0, id, 64, &length));
    EXPECT(ZONE_SYNC_NULL_POINTER, zone_sync_position(node, NULL));
    EXPECT(ZONE_SYNC_NULL_POINTER, zone_sync_feed_open(node, NULL, NULL));
    EXPECT(ZONE_SYNC_NULL_POINTER, zone_sync_status(node, NULL, 0, NULL));
    CHECK(length == 99);
}

/* On the heap and exactly as long as told: the sanitizer sees one byte too many. */
static void small_buffers_learn_the_length(const zone_sync_node *node) {
    size_t needed = 0;
    size_t length = 0;
    EXPECT(ZONE_SYNC_BUFFER_TOO_SMALL,
           zone_sync_payload(node, ZONE_SYNC_KIND_SUBSCRIPTION, TEXT(API), TEXT(SUBSCRIPTION), NULL,
                             0, NULL, 0, &needed));
    CHECK(needed > 2);

    uint8_t *exact = (uint8_t *)malloc(needed);
    CHECK(exact != NULL);
    memset(exact, '#', needed);
    EXPECT(ZONE_SYNC_BUFFER_TOO_SMALL,
           zone_sync_payload(node, ZONE_SYNC_KIND_SUBSCRIPTION, TEXT(API), TEXT(SUBSCRIPTION), NULL,
                             0, exact, needed - 1, &length));
    CHECK(length == needed && exact[0] == '#');
    EXPECT(ZONE_SYNC_OK,
           zone_sync_payload(node, ZONE_SYNC_KIND_SUBSCRIPTION, TEXT(API), TEXT(SUBSCRIPTION), NULL,
                             0, exact, needed, &length));
    CHECK(length == needed && exact[0] == '{' && exact[needed - 1] == '}');

    memset(exact, '#', needed);
    EXPECT(ZONE_SYNC_OK, zone_sync_lookup_key(node, TEXT(API), TEXT(KEY), NULL, 0, ZONE_SYNC_NOW,
                                              ZONE_SYNC_PART_PAYLOAD, exact, needed, &length));
    CHECK(length == needed && exact[0] == '{' && exact[needed - 1] == '}');
    free(exact);

    char tiny[1] = {'#'};
    EXPECT(ZONE_SYNC_BUFFER_TOO_SMALL, zone_sync_status(node, tiny, sizeof tiny, &length));
    CHECK(length > 100 && tiny[0] == '#');
}

static void a_ready_node_stands_somewhere(const zone_sync_node *node) {
    zone_sync_position_t position;
    memset(&position, 0, sizeof position);
    EXPECT(ZONE_SYNC_OK, zone_sync_position(node, &position));
    CHECK(position.epoch > 0 && position.sequence > 0);
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    zone_sync_node *node = ready_node(argv[1]);
    every_way_in_finds_the_subscription(node);
    what_is_not_there_is_not_found(node);
    wrong_arguments_are_told_apart(node);
    small_buffers_learn_the_length(node);
    a_ready_node_stands_somewhere(node);
    zone_sync_node_free(node); /* which stops it */
    return 0;
}
