/* What the test programs share: a check that says where it failed, and a node to test on. */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zonesync.h>

/* Ends the program with the place, unless `condition` holds. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

/* Ends the program with the place and both results, unless `call` gives `wanted`. */
#define EXPECT(wanted, call)                                                                       \
    do {                                                                                           \
        zone_sync_result_t got_ = (call);                                                          \
        if (got_ != (wanted)) {                                                                    \
            zone_sync_text_t text_ = zone_sync_result_text(got_);                                  \
            fprintf(stderr, "%s:%d: %s gives %u (%.*s), not %s\n", __FILE__, __LINE__, #call,      \
                    (unsigned)got_, (int)text_.length, text_.data, #wanted);                       \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

/* A literal, and its length: two arguments. */
#define TEXT(literal) literal, sizeof(literal) - 1

/* What the folder that the tests are given holds. */
#define API "api-1"
#define PLAN "plan-1"
#define SUBSCRIPTION "subscription-1"
#define KEY "key-1"
#define KEY_MD5 "21af6b8b5e2244835679bbdbe0ab03a6"
#define CLIENT "client-1"

static inline zone_sync_config_t config_text(const char *text, size_t length) {
    zone_sync_config_t config = {ZONE_SYNC_ABI_VERSION, 0, {text, length}, {NULL, 0}};
    return config;
}

/* Starts a node on `folder`. Its zone is in memory. */
static inline zone_sync_node *start_node(const char *folder) {
    char yaml[2048];
    char message[4096];
    size_t length = 0;
    zone_sync_node *node = NULL;
    int written = snprintf(yaml, sizeof yaml,
                           "management:\n  type: directory\n  directory:\n    path: '%s'\n"
                           "zonesync:\n  zone: c-tests\n  store: memory\n",
                           folder);
    CHECK(written > 0 && (size_t)written < sizeof yaml);
    zone_sync_config_t config = config_text(yaml, (size_t)written);
    zone_sync_result_t result = start_zone_sync(&config, &node, message, sizeof message, &length);
    if (result != ZONE_SYNC_OK) {
        fprintf(stderr, "start: %.*s\n", (int)(length < sizeof message ? length : sizeof message),
                message);
    }
    EXPECT(ZONE_SYNC_OK, result);
    CHECK(node != NULL);
    return node;
}

/* The same, and waits until it is ready. */
static inline zone_sync_node *ready_node(const char *folder) {
    zone_sync_node *node = start_node(folder);
    EXPECT(ZONE_SYNC_OK, zone_sync_wait_ready(node, 20000));
    return node;
}

#endif
