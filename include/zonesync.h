/*
 * zonesync: zone sync for API gateways.
 *
 * The gateways of a zone share one state. One of them, the elected primary, reads it from the
 * management repository and publishes it to the zone's store; the others follow it there. This
 * library is one node of a zone: start_zone_sync() starts it, the zone_sync_lookup_*() functions
 * answer from its memory, stop_zone_sync() stops it and zone_sync_node_free() ends it.
 *
 * Results. A function that can fail returns a zone_sync_result_t; its outputs are written only on
 * ZONE_SYNC_OK, unless its documentation says otherwise. There is no last error to ask for: the
 * result is all there is, and zone_sync_result_text() says it in words. A fault of the library
 * itself ends the call with ZONE_SYNC_PANIC and the process goes on. If a background thread has
 * such a fault, the node stops syncing, gives up its lease and goes on to answer from its last
 * state; its status says so.
 *
 * NULL. A pointer that must not be NULL is checked, and ZONE_SYNC_NULL_POINTER returned. Where
 * NULL has a meaning, it is told. NULL may be freed.
 *
 * Text and bytes. Always a pointer and a length, never NUL-ended. Text is UTF-8. What a call is
 * given it reads until it returns, and keeps no pointer to it.
 *
 * Buffers. A function that copies out takes a buffer, its capacity and a length_out. If the bytes
 * fit, it writes them and their length. If not, it answers ZONE_SYNC_BUFFER_TOO_SMALL and writes
 * the needed length only. A NULL buffer with a capacity of 0 asks for the length. A buffer overlaps
 * neither another argument nor what is lent by a feed.
 *
 * Ownership. zone_sync_node and zone_sync_feed are handles: each is made by one function and freed
 * by its own _free, once. Handles are checked, so a NULL, foreign or freed one is mostly answered
 * with an error; but freed memory may hold anything, so that is a help and no promise. Text that
 * a function returns lives as long as the library; what a feed lends, until its next step.
 *
 * Threads. Functions may be called from any thread. A node takes any number of calls at once,
 * stop_zone_sync() among them; only zone_sync_node_free() must be the last. A feed is for one
 * thread at a time. Lookups take no lock and never wait for a sync in progress.
 *
 * Time. Waits are in milliseconds; a wait of 0 only looks. Moments are in milliseconds since 1970.
 *
 * The process. The library installs no signal handler, leaves errno as it was and calls nothing of
 * the program. After fork(), handles of the parent answer ZONE_SYNC_FORKED in the child, and may be
 * freed there, which keeps their memory; a child of a process that started a node cannot start one.
 * Do not unload the library while a node runs.
 *
 * Versions. A program passes ZONE_SYNC_ABI_VERSION in its zone_sync_config_t, and a binding that
 * loads the library at run time compares it with zone_sync_abi_version() first. Numbers of results,
 * kinds, parts and actions are never reused; treat one that you do not know as an error or skip it.
 *
 * Made from ffi/src by cbindgen: do not edit.
 */


#ifndef ZONESYNC_H
#define ZONESYNC_H

#include <stddef.h>
#include <stdint.h>

/**
 * The ABI that this header describes. It grows when something is added or changed.
 */
#define ZONE_SYNC_ABI_VERSION 1

/**
 * The first part of the library's version.
 */
#define ZONE_SYNC_VERSION_MAJOR 0

/**
 * The second part of the library's version.
 */
#define ZONE_SYNC_VERSION_MINOR 1

/**
 * The third part of the library's version.
 */
#define ZONE_SYNC_VERSION_PATCH 0

/**
 * For `at_ms`: the present moment by the system's clock.
 */
#define ZONE_SYNC_NOW -1

/**
 * What came of a call. `zone_sync_result_text()` says it in words.
 *
 * Numbers are never reused; a program should treat one that it does not know as an error.
 */
enum zone_sync_result_t
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Done. Only now are outputs written, unless a function says otherwise.
     */
    ZONE_SYNC_OK = 0,
    /**
     * A pointer that must not be NULL is NULL.
     */
    ZONE_SYNC_NULL_POINTER = 1,
    /**
     * An argument has a value that the function does not take.
     */
    ZONE_SYNC_INVALID_ARGUMENT = 2,
    /**
     * A text is not UTF-8.
     */
    ZONE_SYNC_NOT_UTF8 = 3,
    /**
     * The pointer is no handle of this kind, or the handle was freed. Found by a mark in the
     * handle: freed memory may hold anything, so do not count on it.
     */
    ZONE_SYNC_INVALID_HANDLE = 4,
    /**
     * The process was forked after the library's threads were started. Use it in the parent.
     */
    ZONE_SYNC_FORKED = 5,
    /**
     * The library has a fault: the call failed half-way and was stopped at the border.
     */
    ZONE_SYNC_PANIC = 6,
    /**
     * The program was written for an ABI that this library does not speak.
     */
    ZONE_SYNC_ABI_MISMATCH = 7,
    /**
     * The configuration cannot be read or has mistakes; the message lists all of them.
     */
    ZONE_SYNC_INVALID_CONFIG = 8,
    /**
     * The configuration is good, but the node cannot start; the message says why.
     */
    ZONE_SYNC_START_FAILED = 9,
    /**
     * The buffer is too small. The needed length is written, nothing else.
     */
    ZONE_SYNC_BUFFER_TOO_SMALL = 10,
    /**
     * There is no such thing, or none that matches now.
     */
    ZONE_SYNC_NOT_FOUND = 11,
    /**
     * It did not happen within the time-out.
     */
    ZONE_SYNC_TIMED_OUT = 12,
    /**
     * The node was stopped.
     */
    ZONE_SYNC_STOPPED = 13,
    /**
     * The feed no longer holds the next changes: open another and start over.
     */
    ZONE_SYNC_BEHIND = 14,
    /**
     * Another thread is inside a call with this feed.
     */
    ZONE_SYNC_BUSY = 15,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum zone_sync_result_t zone_sync_result_t;
#else
typedef uint32_t zone_sync_result_t;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What happened to an entity.
 */
enum zone_sync_action_t
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * It has this payload from now on.
     */
    ZONE_SYNC_DEPLOY = 1,
    /**
     * It is gone; there is no payload.
     */
    ZONE_SYNC_UNDEPLOY = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum zone_sync_action_t zone_sync_action_t;
#else
typedef uint32_t zone_sync_action_t;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What sort of item an entity is.
 *
 * A zone may carry kinds that are not listed, with numbers from 1 to 31; so functions take and
 * give a number.
 */
enum zone_sync_kind_t
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Facts about the installation that every node needs.
     */
    ZONE_SYNC_KIND_NODE_METADATA = 1,
    /**
     * The licence of an organization.
     */
    ZONE_SYNC_KIND_LICENSE = 2,
    /**
     * A host name under which an environment is reached.
     */
    ZONE_SYNC_KIND_ACCESS_POINT = 3,
    /**
     * An organization with its flows.
     */
    ZONE_SYNC_KIND_ORGANIZATION = 4,
    /**
     * A dictionary of properties.
     */
    ZONE_SYNC_KIND_DICTIONARY = 5,
    /**
     * A Kafka cluster that native APIs refer to.
     */
    ZONE_SYNC_KIND_KAFKA_CLUSTER = 6,
    /**
     * A group of policies that several flows share.
     */
    ZONE_SYNC_KIND_SHARED_POLICY_GROUP = 7,
    /**
     * A principal or resource of the authorization engine.
     */
    ZONE_SYNC_KIND_AUTHZ_ENTITY = 9,
    /**
     * A policy of the authorization engine.
     */
    ZONE_SYNC_KIND_AUTHZ_POLICY = 10,
    /**
     * Several APIs sold as one.
     */
    ZONE_SYNC_KIND_API_PRODUCT = 11,
    /**
     * An API with its plans.
     */
    ZONE_SYNC_KIND_API = 12,
    /**
     * A subscription to a plan.
     */
    ZONE_SYNC_KIND_SUBSCRIPTION = 13,
    /**
     * A key that opens a subscription.
     */
    ZONE_SYNC_KIND_API_KEY = 14,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum zone_sync_kind_t zone_sync_kind_t;
#else
typedef uint32_t zone_sync_kind_t;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * What to copy of a subscription that matched.
 */
enum zone_sync_part_t
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : uint32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * Its payload, byte for byte as published.
     */
    ZONE_SYNC_PART_PAYLOAD = 0,
    /**
     * Its id.
     */
    ZONE_SYNC_PART_ID = 1,
    /**
     * The id of the plan it subscribes to.
     */
    ZONE_SYNC_PART_PLAN = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum zone_sync_part_t zone_sync_part_t;
#else
typedef uint32_t zone_sync_part_t;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * A feed of changes. Made by `zone_sync_feed_open()`, freed by `zone_sync_feed_free()`.
 *
 * One thread at a time uses it; a call beside another answers `ZONE_SYNC_BUSY`. It may outlive its
 * node.
 */
typedef struct zone_sync_feed zone_sync_feed;

/**
 * A node, running or stopped. Made by `start_zone_sync()`, freed by `zone_sync_node_free()`.
 *
 * All calls but the last may be made from any thread, beside each other.
 */
typedef struct zone_sync_node zone_sync_node;

/**
 * Text: UTF-8, not NUL-ended. `data` may be anything if `length` is 0.
 *
 * Who owns the bytes, and how long they live, stands where one is handed over.
 */
typedef struct zone_sync_text_t {
    /**
     * The first byte.
     */
    const char *data;
    /**
     * How many bytes.
     */
    size_t length;
} zone_sync_text_t;

/**
 * What a node is started with. Read during `start_zone_sync()` and not kept.
 *
 * One of `text` and `path` has a `data` that is not NULL.
 */
typedef struct zone_sync_config_t {
    /**
     * `ZONE_SYNC_ABI_VERSION`: what the program was written for.
     */
    uint32_t abi_version;
    /**
     * Zero.
     */
    uint32_t flags;
    /**
     * The configuration itself: what stands in a gravitee.yml.
     */
    struct zone_sync_text_t text;
    /**
     * The path of a file with the configuration.
     */
    struct zone_sync_text_t path;
} zone_sync_config_t;

/**
 * Names one state of the zone. All zero before anything was published.
 *
 * Ordered by `epoch`, then `sequence`. Two positions are the same only if all three agree: after
 * a split, two terms may bear the same epoch.
 */
typedef struct zone_sync_position_t {
    /**
     * The number of the reign in which the state was published.
     */
    uint64_t epoch;
    /**
     * The number of the batch that made it.
     */
    uint64_t sequence;
    /**
     * The random id of the reign, first byte first as it is printed.
     */
    uint8_t term_id[16];
} zone_sync_position_t;

/**
 * Bytes of any content. `data` may be anything if `length` is 0.
 *
 * Who owns the bytes, and how long they live, stands where one is handed over.
 */
typedef struct zone_sync_bytes_t {
    /**
     * The first byte.
     */
    const uint8_t *data;
    /**
     * How many bytes.
     */
    size_t length;
} zone_sync_bytes_t;

/**
 * One change of one entity, lent by a feed until its next step is asked for or it is freed.
 */
typedef struct zone_sync_change_t {
    /**
     * A number of `zone_sync_kind_t`, or one that is not listed there.
     */
    uint32_t kind;
    /**
     * What happened.
     */
    zone_sync_action_t action;
    /**
     * The API or API product of a subscription or an API key, else empty.
     */
    struct zone_sync_text_t scope;
    /**
     * The id of the entity.
     */
    struct zone_sync_text_t id;
    /**
     * The subscription that an API key serves, else empty.
     */
    struct zone_sync_text_t subscription;
    /**
     * The new payload, byte for byte as published; empty if the entity is gone.
     */
    struct zone_sync_bytes_t payload;
} zone_sync_change_t;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Gives the ABI that the loaded library speaks: compare it with `ZONE_SYNC_ABI_VERSION`.
 *
 * A binding asks this first, before any other call. Safe from any thread.
 */
uint32_t zone_sync_abi_version(void);

/**
 * Gives the version of the loaded library, as in `1.2.3`.
 *
 * The text lives as long as the library. Safe from any thread.
 */
struct zone_sync_text_t zone_sync_version(void);

/**
 * Says in words what a result means.
 *
 * Takes a number, so that any value is safe to ask about; an unknown one gives `unknown result`.
 * The text depends on the number alone and lives as long as the library. Safe from any thread.
 */
struct zone_sync_text_t zone_sync_result_text(uint32_t result);

/**
 * Starts a node and gives its handle.
 *
 * Returns as soon as the configuration is read; see `zone_sync_wait_ready()`. Variables of the
 * environment that name settings come before those of the configuration, so do not change the
 * environment meanwhile. Starts threads, named `zonesync-*`.
 *
 * On `ZONE_SYNC_INVALID_CONFIG` and `ZONE_SYNC_START_FAILED` the reasons are copied to `message`,
 * one a line; on `ZONE_SYNC_OK` what the configuration says that is ignored. As much is written as
 * fits, which may cut the last character; `message_length_out` tells the whole length. `message`
 * may be NULL if `message_capacity` is 0, `message_length_out` may be NULL if `message` is.
 *
 * Answers `ZONE_SYNC_FORKED` in the child of a process that used the library: start in the child
 * alone.
 */
zone_sync_result_t start_zone_sync(const struct zone_sync_config_t *config,
                                   struct zone_sync_node **node_out,
                                   char *message,
                                   size_t message_capacity,
                                   size_t *message_length_out);

/**
 * Stops the node: releases the lease if it holds it, and ends its threads.
 *
 * May be called again, and beside running calls: waits in other threads end with
 * `ZONE_SYNC_STOPPED`, and lookups go on from the last state. The handle stays, to be freed later.
 * Returns when the node has stopped. Safe from any thread.
 */
zone_sync_result_t stop_zone_sync(struct zone_sync_node *node);

/**
 * Frees a node, and stops it first if it runs.
 *
 * NULL may be freed. No other call with this node may be running or follow; feeds opened on it
 * may go on and are freed apart. In a forked child the memory is kept, as the node's threads are
 * not there to let go of it.
 */
void zone_sync_node_free(struct zone_sync_node *node);

/**
 * Waits until the node is ready: it holds a complete state that the zone announced.
 *
 * Answers `ZONE_SYNC_OK` at once if it is, `ZONE_SYNC_TIMED_OUT` if it is not after `timeout_ms`
 * milliseconds, and `ZONE_SYNC_STOPPED` if the node was stopped before. Why it is not stands in
 * the status. Blocks the calling thread. Safe from any thread.
 */
zone_sync_result_t zone_sync_wait_ready(const struct zone_sync_node *node,
                                        uint32_t timeout_ms);

/**
 * Copies the node's status, a JSON object, into `buffer`.
 *
 * `length_out` gets its length. `buffer` may be NULL if `capacity` is 0. On
 * `ZONE_SYNC_BUFFER_TOO_SMALL` only the length is written; the next status may be longer, so leave
 * some room. It takes locks and memory: for people and health checks, not for each request. Safe
 * from any thread.
 */
zone_sync_result_t zone_sync_status(const struct zone_sync_node *node,
                                    char *buffer,
                                    size_t capacity,
                                    size_t *length_out);

/**
 * Reads the last position that the node applied into `position_out`.
 *
 * Takes no lock. Safe from any thread.
 */
zone_sync_result_t zone_sync_position(const struct zone_sync_node *node,
                                      struct zone_sync_position_t *position_out);

/**
 * Finds the subscription that an API key opens on `api`, or on a product that holds it.
 *
 * `plan` NULL with a length of 0 means any plan. `at_ms` is the moment of the request in
 * milliseconds since 1970, or `ZONE_SYNC_NOW`. `part`, one of `zone_sync_part_t`, says what is
 * copied into `buffer`; `length_out` gets its length. `buffer` may be NULL if `capacity` is 0; on
 * `ZONE_SYNC_BUFFER_TOO_SMALL` only the length is written. `ZONE_SYNC_NOT_FOUND` if nothing
 * matches: there is no such key, or it is revoked, or its subscription is closed, paused, expired
 * or not yet started.
 *
 * Takes no lock and no memory; never waits for a sync in progress. Safe from any thread.
 */
zone_sync_result_t zone_sync_lookup_key(const struct zone_sync_node *node,
                                        const char *api,
                                        size_t api_length,
                                        const char *key,
                                        size_t key_length,
                                        const char *plan,
                                        size_t plan_length,
                                        int64_t at_ms,
                                        uint32_t part,
                                        uint8_t *buffer,
                                        size_t capacity,
                                        size_t *length_out);

/**
 * Finds a subscription by the lower-case hex MD5 of an API key.
 *
 * Arguments and answers are those of `zone_sync_lookup_key()`. Safe from any thread.
 */
zone_sync_result_t zone_sync_lookup_md5(const struct zone_sync_node *node,
                                        const char *api,
                                        size_t api_length,
                                        const char *md5,
                                        size_t md5_length,
                                        const char *plan,
                                        size_t plan_length,
                                        int64_t at_ms,
                                        uint32_t part,
                                        uint8_t *buffer,
                                        size_t capacity,
                                        size_t *length_out);

/**
 * Finds a subscription by the thumbprint of a client certificate: base64url without padding of
 * the SHA-256 of its DER.
 *
 * Arguments and answers are those of `zone_sync_lookup_key()`. Safe from any thread.
 */
zone_sync_result_t zone_sync_lookup_certificate(const struct zone_sync_node *node,
                                                const char *api,
                                                size_t api_length,
                                                const char *thumbprint,
                                                size_t thumbprint_length,
                                                const char *plan,
                                                size_t plan_length,
                                                int64_t at_ms,
                                                uint32_t part,
                                                uint8_t *buffer,
                                                size_t capacity,
                                                size_t *length_out);

/**
 * Finds a subscription by the client id of an application.
 *
 * Arguments and answers are those of `zone_sync_lookup_key()`. Safe from any thread.
 */
zone_sync_result_t zone_sync_lookup_client(const struct zone_sync_node *node,
                                           const char *api,
                                           size_t api_length,
                                           const char *client,
                                           size_t client_length,
                                           const char *plan,
                                           size_t plan_length,
                                           int64_t at_ms,
                                           uint32_t part,
                                           uint8_t *buffer,
                                           size_t capacity,
                                           size_t *length_out);

/**
 * Copies the payload of an entity, byte for byte as published, into `buffer`.
 *
 * `kind` is a number of `zone_sync_kind_t`. `scope` is the API or API product of a subscription or
 * an API key, `subscription` the one that an API key serves; both are NULL with a length of 0 for
 * kinds without them. `length_out` gets the length. `buffer` may be NULL if `capacity` is 0; on
 * `ZONE_SYNC_BUFFER_TOO_SMALL` only the length is written. `ZONE_SYNC_NOT_FOUND` if the node holds
 * no such entity.
 *
 * Safe from any thread; never waits for a sync in progress.
 */
zone_sync_result_t zone_sync_payload(const struct zone_sync_node *node,
                                     uint32_t kind,
                                     const char *scope,
                                     size_t scope_length,
                                     const char *id,
                                     size_t id_length,
                                     const char *subscription,
                                     size_t subscription_length,
                                     uint8_t *buffer,
                                     size_t capacity,
                                     size_t *length_out);

/**
 * Opens a feed of the changes after `since`, or after now if that is NULL.
 *
 * To miss nothing, read the position, then the state, then open a feed since that position.
 * `feed_out` gets a handle of its own, which is freed apart from the node. Safe from any thread.
 */
zone_sync_result_t zone_sync_feed_open(const struct zone_sync_node *node,
                                       const struct zone_sync_position_t *since,
                                       struct zone_sync_feed **feed_out);

/**
 * Goes to the next step: the changes that lead to one position.
 *
 * `position_out` gets the state's position after them, `count_out` how many there are, which may
 * be zero; read them with `zone_sync_feed_change()`. What was lent of the step before is gone,
 * whatever the answer. `ZONE_SYNC_TIMED_OUT` if nothing changed for `timeout_ms` milliseconds;
 * `ZONE_SYNC_BEHIND` if the next changes are forgotten; `ZONE_SYNC_STOPPED` once the node was
 * stopped and all its changes were read. Blocks the calling thread.
 */
zone_sync_result_t zone_sync_feed_next(struct zone_sync_feed *feed,
                                       uint32_t timeout_ms,
                                       struct zone_sync_position_t *position_out,
                                       size_t *count_out);

/**
 * Reads change `index` of the present step, counted from 0, into `change_out`.
 *
 * What it points to is lent until the next call of `zone_sync_feed_next()` or
 * `zone_sync_feed_free()` with this feed; copy what must live longer. `ZONE_SYNC_NOT_FOUND` if the
 * step has no such change.
 */
zone_sync_result_t zone_sync_feed_change(const struct zone_sync_feed *feed,
                                         size_t index,
                                         struct zone_sync_change_t *change_out);

/**
 * Frees a feed and what it lent.
 *
 * NULL may be freed. No other call with this feed may be running or follow. In a forked child the
 * memory is kept.
 */
void zone_sync_feed_free(struct zone_sync_feed *feed);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* ZONESYNC_H */
