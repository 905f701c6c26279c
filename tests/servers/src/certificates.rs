//! Certificates for tests, made by `openssl`.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::Folder;

/// An authority, a server's certificate for `localhost` and 127.0.0.1, and a client's.
#[derive(Debug)]
pub struct Certificates(Folder);

impl Certificates {
    /// Makes them. Where there is no `openssl`, says so and gives none.
    pub fn new() -> Option<Self> {
        let found = Command::new("openssl").arg("version").stdout(Stdio::null()).status();
        if found.is_err() {
            eprintln!("skipped: there is no openssl");
            return None;
        }
        let made = Self(Folder::new("certificates"));
        made.0.write("server.ext", "subjectAltName=DNS:localhost,IP:127.0.0.1\n");
        made.0.write("client.ext", "extendedKeyUsage=clientAuth\n");
        for authority in ["ca", "other-ca"] {
            made.openssl(&format!(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
                 -subj /CN={authority} -keyout {authority}.key -out {authority}.pem"
            ));
        }
        for (name, authority) in [("server", "ca"), ("client", "ca"), ("stranger", "other-ca")] {
            let kind = if name == "server" { "server" } else { "client" };
            made.openssl(&format!(
                "req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={name} \
                 -keyout {name}.key -out {name}.csr"
            ));
            made.openssl(&format!(
                "x509 -req -in {name}.csr -CA {authority}.pem -CAkey {authority}.key \
                 -CAcreateserial -days 2 -extfile {kind}.ext -out {name}.pem"
            ));
        }
        Some(made)
    }

    /// Gives the path of a file: `ca`, `other-ca`, `server`, `client` or `stranger`, each with `.pem`
    /// and `.key`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Gives what a server needs to speak TLS on `port`. Clients need a certificate if `mutual`.
    pub fn args(&self, port: u16, mutual: bool) -> Vec<String> {
        let path = |name: &str| self.path(name).display().to_string();
        let mutual = if mutual { "yes" } else { "no" };
        let args = [
            ("--tls-port", port.to_string()),
            ("--tls-cert-file", path("server.pem")),
            ("--tls-key-file", path("server.key")),
            ("--tls-ca-cert-file", path("ca.pem")),
            ("--tls-auth-clients", mutual.to_owned()),
        ];
        args.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect()
    }

    fn openssl(&self, args: &str) {
        let mut run = Command::new("openssl");
        let run = run.args(args.split_whitespace()).current_dir(self.0.path()).output();
        let run = run.expect("openssl runs");
        assert!(run.status.success(), "openssl {args}: {}", String::from_utf8_lossy(&run.stderr));
    }
}
