//! Figure `database-read`: 500,000 subscriptions and 500,000 API keys, read and mapped, next to a
//! bare cursor over the same queries, on PostgreSQL.
//!
//! The cursor asks for the same columns in the same order, over one connection, by pages of the same
//! size, and looks at each column's bytes. Both sides use the same driver; what `COPY` of the same
//! rows into nothing takes is printed beside. Keys hang on 1,000 APIs. Left out: making the rows.
//! Printed, too: the most that was allocated during a read beyond what it gave.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_lite::StreamExt;
use futures_lite::future::block_on;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{AssertSqlSafe, Connection, Executor, Row, ValueRef};
use zonesync::repository::mapping::MappingOptions;
use zonesync::repository::postgres::{Postgres, PostgresOptions};
use zonesync::repository::sql::SqlOptions;
use zonesync::repository::{ManagementRepository, Read};
use zonesync::runtime::{Runtime, Smol};
use zonesync_test_servers::postgres::{PostgresServer, USER};
use zonesync_tests::alloc::CountingAllocator;
use zonesync_tests::figure::{self, Goal};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

const NAME: &str = "database-read";
const GOAL: f64 = 0.6;
/// The most that a read may allocate beyond what it gives.
const MEMORY_MAX: u64 = 64 << 20;
const SCHEMA: &str = include_str!("../databases/postgresql.sql");

const SUBSCRIPTIONS: &str = "select t.id, t.updated_at, t.reference_type, t.reference_id, t.api, \
    t.plan, t.status, t.environment_id, t.application, t.application_name, t.client_id, \
    t.client_certificate, t.consumer_status, t.type, t.configuration, t.starting_at, t.ending_at \
    from subscriptions t where t.status = 'ACCEPTED' order by t.id";
const KEYS: &str = "select t.id, t.updated_at, t.key, t.application, t.environment_id, t.expire_at, \
    t.revoked, t.paused, t.federated, o.subscription_id from keys t \
    left join key_subscriptions o on o.key_id = t.id where t.revoked = false order by t.id";

fn main() {
    let Some(server) = PostgresServer::start() else {
        return figure::skip(NAME, "there is no PostgreSQL");
    };
    let (count, apis) = figure::size((500_000, 1_000), (10_000, 20));
    let rounds = figure::size(5, 1);
    server.create("zone");
    server.sql("zone", SCHEMA);
    server.sql("zone", &fill(count, apis));
    let runtime: Arc<dyn Runtime> = Arc::new(Smol::new(2).expect("threads can be started"));
    let connect = PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(server.port())
        .username(USER)
        .database("zone")
        .ssl_mode(PgSslMode::Disable);
    let (mut ratios, mut beyond) = (Vec::new(), 0);
    for round in 0..=rounds {
        let (bare, rows) = cursor(&connect);
        assert_eq!(rows, 2 * count);
        let (ours, more) = read(&connect, &runtime, 2 * count + apis + 1);
        let copied = copy(&server);
        let rate = |time: Duration| (2 * count) as f64 / time.as_secs_f64();
        println!(
            "{NAME}: ours {:.0}/s, cursor {:.0}/s, copy {:.0}/s, {:.1} MiB beyond what was read",
            rate(ours),
            rate(bare),
            rate(copied),
            more as f64 / f64::from(1 << 20)
        );
        // The first round warms the server's cache.
        if round > 0 || rounds == 1 {
            ratios.push(rate(ours) / rate(bare));
            beyond = beyond.max(more);
        }
    }
    figure::print(NAME, figure::median(&ratios), "of-its-rate", Goal::AtLeast, GOAL);
    assert!(beyond <= MEMORY_MAX, "{beyond} bytes beyond what was read");
}

fn fill(count: usize, apis: usize) -> String {
    format!(
        "insert into organizations (id) values ('O');
         insert into environments (id, organization_id) values ('E', 'O');
         insert into events_latest (id, type, payload, created_at, updated_at)
         select 'api-' || n, 'PUBLISH_API', json_build_object(
             'id', 'api-' || n, 'definitionVersion', '4.0.0', 'type', 'proxy', 'environmentId', 'E',
             'lifecycleState', 'STARTED', 'definition', json_build_object(
                 'id', 'api-' || n, 'name', 'API ' || n, 'type', 'proxy', 'plans', json_build_array(
                     json_build_object('id', 'plan-' || n, 'status', 'published')))::text)::text,
             now(), now() from generate_series(1, {apis}) n;
         insert into events_latest_properties select id, 'api_id', id from events_latest;
         insert into events_latest_environments select id, 'E' from events_latest;
         insert into subscriptions (id, plan, application, application_name, status, environment_id,
             reference_type, reference_id, client_id, consumer_status, type, configuration,
             starting_at, created_at, updated_at)
         select gen_random_uuid(), 'plan-' || 1 + n % {apis}, gen_random_uuid(),
             'application of customer ' || n, 'ACCEPTED', 'E', 'API', 'api-' || 1 + n % {apis},
             gen_random_uuid(), 'STARTED', 'STANDARD', '{{\"channel\":\"c' || n || '\"}}',
             now(), now(), now() - n * interval '1 ms' from generate_series(1, {count}) n;
         insert into keys (id, key, application, revoked, paused, environment_id, updated_at)
         select gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), false, false, 'E',
             now() - n * interval '1 ms' from generate_series(1, {count}) n;
         insert into key_subscriptions select k.id, s.id
         from (select id, row_number() over () n from keys) k
         join (select id, row_number() over () n from subscriptions) s on s.n = k.n;
         vacuum analyze;"
    )
}

/// Reads all rows through a cursor and looks at every column.
fn cursor(connect: &PgConnectOptions) -> (Duration, usize) {
    block_on(async {
        let mut connection = PgConnection::connect_with(connect).await.expect("connected");
        let begun = Instant::now();
        let (mut rows, mut bytes) = (0, 0);
        connection.execute("begin read only").await.expect("begun");
        for (query, name) in [(SUBSCRIPTIONS, "s"), (KEYS, "k")] {
            let declare = format!("declare {name} no scroll cursor for {query}");
            connection.execute(sqlx::query(AssertSqlSafe(declare))).await.expect("declared");
            loop {
                let before = rows;
                let mut page = sqlx::query(AssertSqlSafe(format!("fetch 2000 from {name}")))
                    .fetch(&mut connection);
                while let Some(row) = page.next().await {
                    let row = row.expect("a row");
                    for at in 0..row.len() {
                        let value = row.try_get_raw(at).expect("a column");
                        bytes += if value.is_null() {
                            0
                        } else {
                            value.as_bytes().map_or(0, <[u8]>::len)
                        };
                    }
                    rows += 1;
                }
                if rows == before {
                    break;
                }
            }
        }
        assert!(bytes > rows);
        (begun.elapsed(), rows)
    })
}

/// Reads and maps all; gives the time, and the most memory beyond what came of it.
fn read(
    connect: &PgConnectOptions,
    runtime: &Arc<dyn Runtime>,
    entities: usize,
) -> (Duration, u64) {
    let sql = SqlOptions::new(MappingOptions::default());
    let options = PostgresOptions::new(connect.clone(), sql);
    let repository = Postgres::open(options, runtime.clone()).expect("opened");
    let (before, done) = (ALLOCATOR.live(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let peak = scope.spawn(|| {
            let mut peak = 0;
            while !done.load(Ordering::Relaxed) {
                peak = peak.max(ALLOCATOR.live());
                std::thread::sleep(Duration::from_millis(1));
            }
            peak
        });
        let begun = Instant::now();
        let reading = block_on(repository.read(Read::Full)).expect("read");
        let took = begun.elapsed();
        done.store(true, Ordering::Relaxed);
        let peak = peak.join().expect("it only looks");
        assert!(reading.full && reading.quarantined.is_empty());
        assert_eq!(reading.entities.len(), entities);
        let held = ALLOCATOR.live();
        drop(reading);
        let of_reading = held - ALLOCATOR.live();
        (took, peak.saturating_sub(before + of_reading))
    })
}

fn copy(server: &PostgresServer) -> Duration {
    let begun = Instant::now();
    for query in [SUBSCRIPTIONS, KEYS] {
        server.sql("zone", &format!("\\copy ({query}) to '/dev/null'\n"));
    }
    begun.elapsed()
}
