//! Under TLS.

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zonesync_test_servers::certificates::Certificates;
use zonesync_test_servers::free_port;

use super::*;
use crate::tls::Tls;

/// A server that speaks TLS on a second port.
fn start(certificates: &Certificates, mutual: bool) -> Option<(RedisServer, u16)> {
    let port = free_port();
    let args = certificates.args(port, mutual);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    Some((RedisServer::start(&args)?, port))
}

/// A client that trusts `authority`, and shows the certificate of `client`.
fn tls(
    certificates: &Certificates,
    authority: &str,
    client: Option<&str>,
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> Tls {
    let read = |name: String| CertificateDer::from_pem_file(certificates.path(&name)).expect("PEM");
    let mut roots = RootCertStore::empty();
    roots.add(read(format!("{authority}.pem"))).expect("an authority");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(roots);
    let config = match client {
        None => builder.with_no_client_auth(),
        Some(client) => {
            let key = certificates.path(&format!("{client}.key"));
            let key = PrivateKeyDer::from_pem_file(key).expect("PEM");
            let chain = vec![read(format!("{client}.pem"))];
            builder.with_client_auth_cert(chain, key).expect("a pair")
        }
    };
    Tls::from_config(Arc::new(config))
}

const BOTH: [&rustls::SupportedProtocolVersion; 2] =
    [&rustls::version::TLS12, &rustls::version::TLS13];

fn ping(host: &str, port: u16, tls: Option<Tls>) -> Result<Value, StoreError> {
    let mut options = options(port);
    options.topology = Topology::Standalone(Address { host: host.to_owned(), port });
    options.tls = tls;
    options.connect_timeout = Duration::from_secs(2);
    connect(options).call(Lane::Data, &["PING"])
}

#[test]
fn servers_are_verified() {
    let Some(certificates) = Certificates::new() else { return };
    let Some((redis, port)) = start(&certificates, false) else { return };
    let trusted = || Some(tls(&certificates, "ca", None, &BOTH));
    let pong = Ok(Value::SimpleString("PONG".to_owned()));
    assert_eq!(ping("127.0.0.1", port, trusted()), pong);
    assert_eq!(ping("localhost", port, trusted()), pong);
    for version in BOTH {
        assert_eq!(ping("localhost", port, Some(tls(&certificates, "ca", None, &[version]))), pong);
    }
    let other = Some(tls(&certificates, "other-ca", None, &BOTH));
    expect(ping("127.0.0.1", port, other), "Denied", "is not accepted (UnknownIssuer)");
    // Either side without TLS.
    expect(ping("127.0.0.1", redis.port(), trusted()), "Unavailable", "does it speak TLS?");
    expect(ping("127.0.0.1", port, None), "Unavailable", "");
    expect(ping("not a name", port, trusted()), "Unavailable", "not a name");
}

#[test]
fn clients_are_verified() {
    let Some(certificates) = Certificates::new() else { return };
    let Some((redis, port)) = start(&certificates, true) else { return };
    let pong = Ok(Value::SimpleString("PONG".to_owned()));
    for version in BOTH {
        let with =
            |client| ping("127.0.0.1", port, Some(tls(&certificates, "ca", client, &[version])));
        assert_eq!(with(Some("client")), pong, "{version:?}");
        // In TLS 1.2 the handshake fails, in TLS 1.3 the first read: told alike.
        expect(with(None), "Denied", "refuses our certificate, or misses one");
        expect(with(Some("stranger")), "Denied", "refuses our certificate, or misses one");
    }
    drop(redis);
}

#[test]
fn large_answers_and_losses_under_tls() {
    let Some(certificates) = Certificates::new() else { return };
    let Some((redis, port)) = start(&certificates, true) else { return };
    let mut options = options(port);
    options.tls = Some(tls(&certificates, "ca", Some("client"), &BOTH));
    let setup = connect(options);
    let big = "0123456789".repeat(800_000);
    assert_eq!(setup.call(Lane::Data, &["SET", "{zone}big", &big]), Ok(Value::Okay));
    let setup = &setup;
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let answer =
                    setup.call_within(Lane::Data, &["GET", "{zone}big"], Duration::from_secs(20));
                assert!(answer == Ok(bulk(&big)), "the answer is whole");
            });
        }
    });
    redis.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
    setup.call_until_ok(Lane::Data, &["PING"]);
    setup.call_until_ok(Lane::Watch, &["PING"]);
}
