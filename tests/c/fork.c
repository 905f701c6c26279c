/* After a fork the child's copy of a handle answers so, and frees without waiting for anyone. */
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

/* What the child does. It leaves by _exit: nothing of the parent's is run at its end. */
static void in_the_child(zone_sync_node *node, zone_sync_feed *feed, const char *folder) {
    uint8_t id[64];
    size_t length = 99;
    zone_sync_position_t position;
    zone_sync_change_t change;
    zone_sync_config_t config = config_text(folder, strlen(folder));
    zone_sync_node *other = NULL;
    zone_sync_feed *another = NULL;
    alarm(20); /* a hang is a failure */
    EXPECT(ZONE_SYNC_FORKED, zone_sync_lookup_key(node, TEXT(API), TEXT(KEY), NULL, 0,
                                                  ZONE_SYNC_NOW, ZONE_SYNC_PART_ID, id, sizeof id,
                                                  &length));
    EXPECT(ZONE_SYNC_FORKED, zone_sync_position(node, &position));
    EXPECT(ZONE_SYNC_FORKED, zone_sync_wait_ready(node, 0));
    EXPECT(ZONE_SYNC_FORKED, zone_sync_status(node, NULL, 0, &length));
    EXPECT(ZONE_SYNC_FORKED, stop_zone_sync(node));
    EXPECT(ZONE_SYNC_FORKED, zone_sync_feed_open(node, NULL, &another));
    EXPECT(ZONE_SYNC_FORKED, zone_sync_feed_next(feed, 0, &position, &length));
    EXPECT(ZONE_SYNC_FORKED, zone_sync_feed_change(feed, 0, &change));
    EXPECT(ZONE_SYNC_FORKED, start_zone_sync(&config, &other, NULL, 0, NULL));
    CHECK(length == 99 && other == NULL && another == NULL);
    zone_sync_feed_free(feed);
    zone_sync_node_free(node);
    _exit(0);
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    zone_sync_node *node = ready_node(argv[1]);
    zone_sync_feed *feed = NULL;
    zone_sync_position_t position;
    int status = 0;
    EXPECT(ZONE_SYNC_OK, zone_sync_feed_open(node, NULL, &feed));

    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        in_the_child(node, feed, argv[1]);
    }
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);

    EXPECT(ZONE_SYNC_OK, zone_sync_position(node, &position)); /* the parent goes on */
    zone_sync_feed_free(feed);
    EXPECT(ZONE_SYNC_OK, stop_zone_sync(node));
    zone_sync_node_free(node);
    return 0;
}
