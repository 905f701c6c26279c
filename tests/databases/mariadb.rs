//! MariaDB, on a server whose own time zone is two hours off.

use std::sync::Arc;

use futures_lite::future::block_on;
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};
use zonesync::repository::mapping::MappingOptions;
use zonesync::repository::mysql::{MySql, MySqlOptions};
use zonesync::repository::sql::SqlOptions;
use zonesync::repository::{ManagementRepository, Read, RepositoryError};
use zonesync::runtime::{Runtime, Smol};
use zonesync_test_servers::mariadb::{MariaDbServer, PASSWORD, USER};

use crate::common::Database;
use crate::scenes;

const SCHEMA: &str = include_str!("mariadb.sql");

struct Zone(MariaDbServer);

impl Zone {
    fn start() -> Option<Self> {
        let server = MariaDbServer::start(&["--default-time-zone=+02:00"])?;
        server.create("zone");
        server.sql("zone", SCHEMA);
        Some(Self(server))
    }
}

fn connect(server: &MariaDbServer, database: &str) -> MySqlConnectOptions {
    MySqlConnectOptions::new()
        .host("127.0.0.1")
        .port(server.port())
        .username(USER)
        .password(PASSWORD)
        .database(database)
        .ssl_mode(MySqlSslMode::Disabled)
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
        let options = MySqlOptions::new(connect(&self.0, "zone"), options);
        Arc::new(MySql::open(options, runtime).unwrap())
    }

    fn kill(&mut self) {
        self.0.kill();
    }

    fn restart(&mut self) {
        self.0.restart();
    }

    fn scans(&self) -> u64 {
        // Rows read one after another without an index, by the thousand: small tables do not count.
        let read = "select variable_value from information_schema.global_status \
                    where variable_name = 'HANDLER_READ_RND_NEXT'";
        self.sql(read).trim().parse::<u64>().unwrap() / 10_000
    }

    fn url(&self) -> String {
        let (port, password) = (self.0.port(), PASSWORD.replace(' ', "%20"));
        format!(
            "jdbc:mariadb://127.0.0.1:{port}/zone?user={USER}&password={password}&sslMode=disable"
        )
    }

    fn literal(&self, text: &str) -> String {
        format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
    }

    fn name(&self, name: &str) -> String {
        format!("`{name}`")
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
    let lock = "lock tables subscriptions write; select sleep(3); unlock tables;";
    scenes::faults(&mut zone, lock);
    scenes::node(&mut zone);
}

#[test]
fn a_change_is_noticed_without_reading_large_tables() {
    let Some(zone) = Zone::start() else { return };
    let fill = "insert into subscriptions (id, plan, application, application_name, status, \
        environment_id, reference_type, reference_id, updated_at) \
        select concat('sub-', seq), 'p', 'app', 'app', 'ACCEPTED', concat('E', seq % 3), 'API', 'a', \
        timestamp '2025-01-01 00:00:00' + interval seq second from seq_1_to_20000; \
        insert into `keys` (id, `key`, revoked, federated, environment_id, updated_at) \
        select concat('key-', seq), concat('secret ', seq), false, false, concat('E', seq % 3), \
        timestamp '2025-01-01 00:00:00' + interval seq second from seq_1_to_20000; \
        insert into key_subscriptions select concat('key-', seq), concat('sub-', seq) \
        from seq_1_to_20000; analyze table subscriptions, `keys`, key_subscriptions;";
    scenes::probes(&zone, fill);
}

#[test]
fn what_is_wrong_with_address_or_account_is_said_at_once() {
    let Some(zone) = Zone::start() else { return };
    let runtime: Arc<dyn Runtime> = Arc::new(Smol::new(1).unwrap());
    let ask = |options: MySqlConnectOptions| {
        let options = MySqlOptions::new(options, SqlOptions::new(MappingOptions::default()));
        let repository = MySql::open(options, runtime.clone()).unwrap();
        block_on(repository.read(Read::Full)).map(|reading| reading.rows)
    };
    let closed = zonesync_test_servers::free_port();
    let refused = ask(connect(&zone.0, "zone").port(closed)).unwrap_err();
    assert!(
        matches!(&refused, RepositoryError::Unavailable(why) if why.contains("refused")),
        "{refused}"
    );
    let wrong = ask(connect(&zone.0, "zone").password("another")).unwrap_err();
    assert!(matches!(&wrong, RepositoryError::Denied(_)), "{wrong}");
    assert!(!wrong.to_string().contains("another"), "{wrong}");
    let missing = ask(connect(&zone.0, "nowhere")).unwrap_err();
    assert!(matches!(&missing, RepositoryError::Denied(_)), "{missing}");
    zone.0.create("empty");
    let empty = ask(connect(&zone.0, "empty")).unwrap_err();
    assert!(matches!(&empty, RepositoryError::Denied(why) if why.contains("no table")), "{empty}");
    assert_eq!(ask(connect(&zone.0, "zone")), Ok(0));
}
