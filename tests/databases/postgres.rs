//! PostgreSQL.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_lite::future::block_on;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use zonesync::repository::mapping::MappingOptions;
use zonesync::repository::postgres::{Postgres, PostgresOptions};
use zonesync::repository::sql::SqlOptions;
use zonesync::repository::{ManagementRepository, Read, RepositoryError};
use zonesync::runtime::{Runtime, Smol};
use zonesync_test_servers::postgres::{PostgresServer, USER};

use crate::common::{Database, read, recorded};
use crate::scenes;

const SCHEMA: &str = include_str!("postgresql.sql");
const NOTIFY: &str = include_str!("../../runtime/sql/postgresql-notify.sql");

struct Zone(PostgresServer);

impl Zone {
    fn start() -> Option<Self> {
        let server = PostgresServer::start()?;
        server.create("zone");
        server.sql("zone", SCHEMA);
        Some(Self(server))
    }
}

fn connect(server: &PostgresServer, database: &str) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(server.port())
        .username(USER)
        .database(database)
        .ssl_mode(PgSslMode::Disable)
}

impl Database for Zone {
    fn sql(&self, text: &str) -> String {
        self.0.sql("zone", text)
    }

    fn open(
        &self,
        options: SqlOptions,
        runtime: Arc<dyn Runtime>,
    ) -> Arc<dyn ManagementRepository> {
        let options = PostgresOptions::new(connect(&self.0, "zone"), options);
        Arc::new(Postgres::open(options, runtime).unwrap())
    }

    fn kill(&mut self) {
        self.0.kill();
    }

    fn restart(&mut self) {
        self.0.restart();
    }

    fn scans(&self) -> u64 {
        // Counters are written some time after a transaction ends, or when a connection does.
        let read = "select sum(seq_scan) from pg_stat_user_tables \
                    where relname in ('subscriptions', 'keys', 'key_subscriptions')";
        std::thread::sleep(Duration::from_millis(1500));
        self.sql(read).trim().parse().unwrap()
    }

    fn url(&self) -> String {
        format!("jdbc:postgresql://127.0.0.1:{}/zone?user={USER}&sslmode=disable", self.0.port())
    }

    fn name(&self, name: &str) -> String {
        format!("\"{name}\"")
    }
}

#[test]
fn rows_are_read_as_a_folder_gives_them() {
    let Some(zone) = Zone::start() else { return };
    scenes::composed(&zone);
    scenes::pages(&zone);
    scenes::time_zones(&zone);
    scenes::decisions(&zone);
}

#[test]
fn a_database_that_fails_never_empties_a_zone() {
    let Some(mut zone) = Zone::start() else { return };
    let lock = "begin; lock table subscriptions in access exclusive mode; \
                select pg_sleep(3); commit;";
    scenes::faults(&mut zone, lock);
    scenes::node(&mut zone);
}

#[test]
fn a_change_is_noticed_without_reading_large_tables() {
    let Some(zone) = Zone::start() else { return };
    let fill = "insert into subscriptions (id, plan, application, application_name, status, \
        environment_id, reference_type, reference_id, updated_at) \
        select 'sub-' || n, 'p', 'app', 'app', 'ACCEPTED', 'E' || n % 3, 'API', 'a', \
        timestamp '2025-01-01' + n * interval '1 second' from generate_series(1, 20000) n; \
        insert into keys (id, key, revoked, environment_id, updated_at) \
        select 'key-' || n, 'secret ' || n, false, 'E' || n % 3, \
        timestamp '2025-01-01' + n * interval '1 second' from generate_series(1, 20000) n; \
        insert into key_subscriptions select 'key-' || n, 'sub-' || n from generate_series(1, 20000) n; \
        analyze;";
    scenes::probes(&zone, fill);
}

#[test]
fn a_prepared_database_tells_of_changes_by_itself() {
    let Some(zone) = Zone::start() else { return };
    zone.sql(NOTIFY);
    // Twice does no harm.
    zone.sql(NOTIFY);
    let (probe, pause) = (Duration::from_secs(600), Duration::from_secs(600));
    let options = SqlOptions { probe, pause, ..SqlOptions::new(MappingOptions::default()) };
    let repository = zone.open(options, Arc::new(Smol::new(2).unwrap()));
    read(&*repository, Read::Full);
    std::thread::scope(|scope| {
        let told = scope.spawn(|| block_on(repository.changed()));
        // Not before somebody listens, or there is nobody to tell.
        crate::common::eventually("it listens", || {
            zone.sql("select count(*) from pg_stat_activity where query ilike 'listen%'").trim()
                == "1"
        });
        assert!(!told.is_finished());
        let begun = Instant::now();
        zone.sql("insert into access_points values ('p', 'ENVIRONMENT', 'e', 'GATEWAY', 'h', true, true, now())");
        told.join().unwrap();
        assert!(begun.elapsed() < Duration::from_secs(10));
    });
    // What came while nobody waited is told at the next wait.
    zone.sql("delete from access_points");
    block_on(repository.changed());
    // What is sent names a table and an id, and of keys not even that.
    let sent = zone.sql(
        "listen zonesync_changes; \
         insert into keys (id, key, revoked) values ('the key itself', 'hidden', false); \
         insert into access_points values ('p', 'ENVIRONMENT', 'e', 'GATEWAY', 'h', true, true, now()); \
         select 1;",
    );
    assert!(sent.contains("\"access_points:p\"") && sent.contains("\"keys:\""), "{sent}");
    assert!(!sent.contains("hidden") && !sent.contains("itself"), "{sent}");
}

#[test]
fn our_tables_are_those_of_the_control_plane() {
    let Some(file) = recorded("schema/postgresql.sql") else { return };
    let Some(zone) = Zone::start() else { return };
    zone.0.create("recorded");
    let dump = std::fs::read_to_string(file).unwrap();
    // A newer psql than this one may have written it.
    let dump: Vec<_> = dump.lines().filter(|line| !line.starts_with('\\')).collect();
    zone.0.sql("recorded", &dump.join("\n"));
    let columns = "select table_name, column_name, data_type, character_maximum_length, is_nullable \
                   from information_schema.columns where table_schema = 'public' order by 1, 2";
    let indexes = "select tablename, replace(indexdef, 'public.', ''), '' from pg_indexes \
                   where schemaname = 'public' and indexname not like 'pk%' \
                   and indexname not like '%_pkey' order by 1, 2";
    for what in [columns, indexes] {
        let ours = zone.sql(what);
        let theirs = zone.0.sql("recorded", what);
        let tables: Vec<&str> = ours.lines().filter_map(|line| line.split('|').next()).collect();
        let of_ours = |line: &&str| tables.contains(&line.split('|').next().unwrap_or_default());
        let theirs: Vec<&str> = theirs.lines().filter(of_ours).collect();
        let ours: Vec<&str> = ours.lines().collect();
        assert!(ours.len() > 10);
        for line in &theirs {
            assert!(ours.contains(line), "theirs alone: {line}");
        }
        for line in &ours {
            assert!(theirs.contains(line), "ours alone: {line}");
        }
    }
}

#[test]
fn what_is_wrong_with_address_or_account_is_said_at_once() {
    let Some(zone) = Zone::start() else { return };
    let server = &zone.0;
    let runtime: Arc<dyn Runtime> = Arc::new(Smol::new(1).unwrap());
    let ask = |options: PgConnectOptions, prefix: &str| {
        let prefix = prefix.to_owned();
        let sql = SqlOptions { prefix, ..SqlOptions::new(MappingOptions::default()) };
        let repository =
            Postgres::open(PostgresOptions::new(options, sql), runtime.clone()).unwrap();
        block_on(repository.read(Read::Full)).map(|reading| reading.rows)
    };
    let closed = zonesync_test_servers::free_port();
    let refused = ask(connect(server, "zone").port(closed), "").unwrap_err();
    assert!(
        matches!(&refused, RepositoryError::Unavailable(why) if why.contains("refused")),
        "{refused}"
    );
    let missing = ask(connect(server, "nowhere"), "").unwrap_err();
    assert!(
        matches!(&missing, RepositoryError::Denied(why) if why.contains("nowhere")),
        "{missing}"
    );
    let empty = ask(connect(server, "postgres"), "").unwrap_err();
    assert!(matches!(&empty, RepositoryError::Denied(why) if why.contains("no table")), "{empty}");
    let other = ask(connect(server, "zone"), "gio_").unwrap_err();
    assert!(matches!(&other, RepositoryError::Denied(why) if why.contains("gio_")), "{other}");
    // An account that may read is enough; one that may not is told which table.
    zone.sql("create role reader login; grant usage on schema public to reader");
    let poor = ask(connect(server, "zone").username("reader"), "").unwrap_err();
    assert!(matches!(&poor, RepositoryError::Denied(why) if why.contains("grants")), "{poor}");
    zone.sql("grant select on all tables in schema public to reader");
    assert_eq!(ask(connect(server, "zone").username("reader"), ""), Ok(0));
}
