//! PostgreSQL.

use std::fs;
use std::sync::Arc;

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use zonesync::repository::mapping::MappingOptions;
use zonesync::repository::postgres::{Postgres, PostgresOptions};
use zonesync::repository::sql::SqlOptions;
use zonesync::repository::{ManagementRepository, Read, RepositoryError};
use zonesync::runtime::{Runtime, Smol};
use zonesync_core::format::Source;
use zonesync_test_servers::postgres::{PostgresServer, USER};

use crate::common::{Composed, Fixed, apply, assert_same, read, rows, state};

const SCHEMA: &str = include_str!("postgresql.sql");

fn connect(server: &PostgresServer, database: &str) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .host("127.0.0.1")
        .port(server.port())
        .username(USER)
        .database(database)
        .ssl_mode(PgSslMode::Disable)
}

fn open(
    server: &PostgresServer,
    database: &str,
    mapping: MappingOptions,
    runtime: Arc<dyn Runtime>,
) -> Postgres {
    let options = PostgresOptions::new(connect(server, database), SqlOptions::new(mapping));
    Postgres::open(options, runtime).unwrap()
}

/// Makes a database with the tables and, of a recorded folder, the rows.
fn fill(server: &PostgresServer, database: &str, folder: &str) -> Option<()> {
    let source = rows(&format!("postgresql/{folder}"))?;
    server.create(database);
    server.sql(database, SCHEMA);
    load(server, database, &source);
    Some(())
}

fn load(server: &PostgresServer, database: &str, source: &std::path::Path) {
    for entry in fs::read_dir(source).unwrap() {
        let path = entry.unwrap().path();
        let table = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if path.extension().is_some_and(|ending| ending == "csv") {
            server.sql(database, &format!("delete from \"{table}\""));
            server.load(database, &table, &path);
        }
    }
}

#[test]
fn the_composed_zone_is_that_of_a_folder_to_the_byte() {
    let Some(composed) = Composed::load() else { return };
    let Some(server) = PostgresServer::start() else { return };
    let Some(()) = fill(&server, "zone", "zone-initial") else { return };
    let runtime = Fixed::at(composed.now);
    let repository = open(&server, "zone", composed.mapping.clone(), runtime.clone());

    let first = read(&repository, Read::Full);
    assert!(first.full && !first.incomplete);
    assert_same(&state(&first), &state(&composed.first));
    assert_eq!(first.source, composed.first.source);
    let told = |reading: &zonesync::repository::Reading| {
        reading.quarantined.iter().map(|row| row.key.clone()).collect::<Vec<_>>()
    };
    assert_eq!(told(&first), told(&composed.first));

    // What was missing is looked up by id, and says what a folder says at once.
    let off = composed.first.off.clone();
    let found = futures_lite::future::block_on(repository.find(off.clone())).unwrap();
    for (key, found) in off.iter().zip(found) {
        assert_eq!(found, zonesync::repository::Found::Off, "{key}");
    }

    load(&server, "zone", &rows("postgresql/zone-changed").unwrap());
    let second = read(&repository, Read::Since(Box::new(first.source)));
    assert!(!second.full && !second.incomplete);
    let mut held = state(&first);
    apply(&mut held, &second);
    assert_same(&held, &state(&composed.second));

    // Another process, that has read nothing yet, comes to the same from the dates alone.
    let other = open(&server, "zone", composed.mapping.clone(), runtime);
    let since = read(&other, Read::Since(Box::new(first.source)));
    let mut held = state(&first);
    apply(&mut held, &since);
    assert_same(&held, &state(&composed.second));
    let again = read(&other, Read::Full);
    assert_same(
        &state(&again),
        &state(&composed.second)
            .into_iter()
            .map(|(key, payload)| {
                let held = held.get(&key).cloned().unwrap_or(payload);
                (key, held)
            })
            .collect(),
    );
}

#[test]
fn what_is_wrong_with_address_or_account_is_said_at_once() {
    let Some(server) = PostgresServer::start() else { return };
    let runtime: Arc<dyn Runtime> = Arc::new(Smol::new(1).unwrap());
    let ask = |options: PgConnectOptions| {
        let options = PostgresOptions::new(options, SqlOptions::new(MappingOptions::default()));
        let repository = Postgres::open(options, runtime.clone()).unwrap();
        futures_lite::future::block_on(repository.read(Read::Full)).unwrap_err()
    };
    let closed = zonesync_test_servers::free_port();
    let refused = ask(connect(&server, "postgres").port(closed));
    assert!(
        matches!(&refused, RepositoryError::Unavailable(why) if why.contains("refused")),
        "{refused}"
    );
    let missing = ask(connect(&server, "nowhere"));
    assert!(
        matches!(&missing, RepositoryError::Denied(why) if why.contains("nowhere")),
        "{missing}"
    );
    let empty = ask(connect(&server, "postgres"));
    assert!(matches!(&empty, RepositoryError::Denied(why) if why.contains("no table")), "{empty}");
    let _ = Source::default();
}
