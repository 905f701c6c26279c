//! A real Redis that speaks nothing but TLS, and takes only those who show a certificate.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use zonesync::tls::Tls;
use zonesync_test_servers::free_port;
use zonesync_test_servers::redis::RedisServer;
use zonesync_test_servers::stores::Stores;

use crate::{build, keys};

fn ping(tls: &Tls, port: u16) -> Result<String, String> {
    let socket = TcpStream::connect(("127.0.0.1", port)).map_err(|error| error.to_string())?;
    socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a time-out can be set");
    let name = ServerName::try_from("127.0.0.1").expect("an address");
    let connection = ClientConnection::new(Arc::clone(tls.config()), name).expect("a connection");
    let mut stream = StreamOwned::new(connection, socket);
    stream.write_all(b"PING\r\n").map_err(|error| error.to_string())?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).map_err(|error| error.to_string())?;
    Ok(line)
}

#[test]
fn redis_answers_who_shows_a_certificate() {
    let Some(stores) = Stores::make() else { return };
    let path = |name: &str| stores.path(name).display().to_string();
    let tls = free_port().to_string();
    let (cert, key, ca) = (path("A.pem"), path("A.key"), path("ca.pem"));
    let arguments = [
        "--tls-port",
        &tls,
        "--tls-cert-file",
        &cert,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &ca,
        "--tls-auth-clients",
        "yes",
    ];
    let Some(_server) = RedisServer::start(&arguments) else { return };
    let port = tls.parse().expect("a port");
    let strict = format!(
        "ssl: true\ntrustAll: false\nhostnameVerificationAlgorithm: HTTPS\ntruststore.type: JKS\n\
         truststore.path: {}\ntruststore.password: secret\n",
        path("t17.JKS")
    );
    let shown = format!(
        "{strict}keystore.type: PKCS12\nkeystore.path: {}\nkeystore.password: secret\n",
        path("k17.PKCS12")
    );
    for versions in ["TLSv1.2", "TLSv1.3"] {
        let with = |lines: &str| {
            let built = build(&keys(&format!("{lines}tlsProtocols: {versions}\n")));
            ping(&built.unwrap_or_else(|error| panic!("{error}")).tls, port)
        };
        assert_eq!(with(&shown), Ok("+PONG\r\n".to_owned()), "{versions}");
        assert!(with(&strict).is_err(), "{versions}: none was shown");
    }
}
