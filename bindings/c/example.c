/*
 * A zone of one node, embedded: reads a folder of definitions, answers a key, waits for changes.
 *
 *     example FOLDER [API KEY]
 *
 * Compiles as C11 and as C++17.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zonesync.h>

static zone_sync_text_t text(const char *chars) {
    zone_sync_text_t text = {chars, strlen(chars)};
    return text;
}

/* Says on stderr what failed and why. */
static int fail(const char *what, zone_sync_result_t result) {
    zone_sync_text_t why = zone_sync_result_text(result);
    fprintf(stderr, "%s: %.*s\n", what, (int)why.length, why.data);
    return EXIT_FAILURE;
}

static zone_sync_result_t start(const char *folder, zone_sync_node **node) {
    char yaml[2048];
    char message[4096];
    size_t length = 0;
    int written = snprintf(yaml, sizeof yaml,
                           "management:\n"
                           "  type: directory\n"
                           "  directory:\n"
                           "    path: '%s'\n"
                           "zonesync:\n"
                           "  zone: example\n"
                           "  store: memory\n",
                           folder);
    if (written < 0 || (size_t)written >= sizeof yaml || strchr(folder, '\'') != NULL) {
        fprintf(stderr, "the folder's name does not fit into the configuration\n");
        return ZONE_SYNC_INVALID_ARGUMENT;
    }

    zone_sync_config_t config = {ZONE_SYNC_ABI_VERSION, 0, text(yaml), {NULL, 0}};
    zone_sync_result_t result = start_zone_sync(&config, node, message, sizeof message, &length);
    if (length > sizeof message) {
        length = sizeof message; /* the rest was cut */
    }
    if (length > 0) {
        fprintf(stderr, "%.*s\n", (int)length, message);
    }
    return result;
}

/* Prints the status. It may grow between two calls, so the buffer grows until one fits. */
static zone_sync_result_t print_status(const zone_sync_node *node) {
    zone_sync_result_t result = ZONE_SYNC_BUFFER_TOO_SMALL;
    size_t capacity = 1024;
    while (result == ZONE_SYNC_BUFFER_TOO_SMALL) {
        size_t length = 0;
        char *json = (char *)malloc(capacity);
        if (json == NULL) {
            return result;
        }
        result = zone_sync_status(node, json, capacity, &length);
        if (result == ZONE_SYNC_OK) {
            printf("status %.*s\n", (int)length, json);
        }
        free(json);
        capacity = 2 * length;
    }
    return result;
}

static zone_sync_result_t print_position(const zone_sync_node *node) {
    zone_sync_position_t position;
    zone_sync_result_t result = zone_sync_position(node, &position);
    if (result == ZONE_SYNC_OK) {
        printf("position e%llu-s%llu\n", (unsigned long long)position.epoch,
               (unsigned long long)position.sequence);
    }
    return result;
}

/* Says which subscription a key opens. That there is none is an answer like any other. */
static zone_sync_result_t print_key(const zone_sync_node *node, const char *api, const char *key) {
    uint8_t id[512];
    size_t length = 0;
    zone_sync_result_t result =
        zone_sync_lookup_key(node, api, strlen(api), key, strlen(key), NULL, 0, ZONE_SYNC_NOW,
                             ZONE_SYNC_PART_ID, id, sizeof id, &length);
    if (result == ZONE_SYNC_OK) {
        printf("key opens subscription %.*s\n", (int)length, (const char *)id);
    } else if (result == ZONE_SYNC_NOT_FOUND) {
        printf("key opens nothing\n");
        result = ZONE_SYNC_OK;
    }
    return result;
}

/* Prints changes until there was none for half a second. */
static zone_sync_result_t print_changes(const zone_sync_node *node) {
    zone_sync_feed *feed = NULL;
    zone_sync_position_t position;
    zone_sync_change_t change;
    size_t count = 0;
    zone_sync_result_t result = zone_sync_feed_open(node, NULL, &feed);
    while (result == ZONE_SYNC_OK) {
        result = zone_sync_feed_next(feed, 500, &position, &count);
        for (size_t i = 0; result == ZONE_SYNC_OK && i < count; i++) {
            result = zone_sync_feed_change(feed, i, &change);
            if (result == ZONE_SYNC_OK) {
                printf("%s kind %u id %.*s\n",
                       change.action == ZONE_SYNC_DEPLOY ? "deploy" : "undeploy",
                       (unsigned)change.kind, (int)change.id.length, change.id.data);
            }
        }
    }
    zone_sync_feed_free(feed);
    return result == ZONE_SYNC_TIMED_OUT ? (zone_sync_result_t)ZONE_SYNC_OK : result;
}

int main(int argc, char **argv) {
    if (argc != 2 && argc != 4) {
        fprintf(stderr, "usage: %s FOLDER [API KEY]\n", argv[0]);
        return EXIT_FAILURE;
    }
    if (zone_sync_abi_version() != ZONE_SYNC_ABI_VERSION) {
        fprintf(stderr, "libzonesync is of another version than zonesync.h\n");
        return EXIT_FAILURE;
    }

    zone_sync_node *node = NULL;
    zone_sync_result_t result = start(argv[1], &node);
    if (result != ZONE_SYNC_OK) {
        return fail("start", result);
    }
    /* The status tells why a node is not ready, so it is printed in any case. */
    result = zone_sync_wait_ready(node, 10000);
    zone_sync_result_t printed = print_status(node);
    if (result == ZONE_SYNC_OK) {
        result = printed;
    }
    if (result == ZONE_SYNC_OK) {
        result = print_position(node);
    }
    if (result == ZONE_SYNC_OK && argc == 4) {
        result = print_key(node, argv[2], argv[3]);
    }
    if (result == ZONE_SYNC_OK) {
        result = print_changes(node);
    }

    zone_sync_result_t stopped = stop_zone_sync(node);
    zone_sync_node_free(node);
    if (result != ZONE_SYNC_OK) {
        return fail("example", result);
    }
    return stopped == ZONE_SYNC_OK ? EXIT_SUCCESS : fail("stop", stopped);
}
