//! Certificates, keys and stores of every kind, made by `openssl` and `keytool` themselves.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, Weak};

use crate::Folder;

/// The password of all of them, unless their name says otherwise.
pub const PASSWORD: &str = "secret";

/// A folder with them, gone when nobody uses it any more.
#[derive(Debug)]
pub struct Stores {
    folder: Folder,
}

impl Stores {
    /// Makes them, or shares those of another test. Where a tool is missing, says so and gives none:
    /// the calling test then ends early.
    pub fn make() -> Option<Arc<Self>> {
        static MADE: Mutex<Weak<Stores>> = Mutex::new(Weak::new());
        let mut made = MADE.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(stores) = made.upgrade() {
            return Some(stores);
        }
        for (tool, argument) in [("openssl", "version"), ("keytool", "-help")] {
            let mut command = Command::new(tool);
            command.arg(argument).stdout(Stdio::null()).stderr(Stdio::null());
            if command.status().is_err() {
                eprintln!("skipped: there is no {tool}");
                return None;
            }
        }
        let stores = Arc::new(Self { folder: Folder::new("stores") });
        stores.authorities();
        stores.servers();
        stores.clients();
        stores.by_openssl();
        stores.by_keytool();
        *made = Arc::downgrade(&stores);
        Some(stores)
    }

    /// Gives the folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Gives the path of one.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn authorities(&self) {
        for name in ["ca", "ca2"] {
            self.openssl(&format!(
                "req -x509 -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.pem -days 30 \
                 -subj /CN={name}"
            ));
        }
        self.join("two-ca.pem", &["ca.pem", "ca2.pem"]);
        self.write("text", "Some text\nbefore it.\n");
        self.join("ca.text.pem", &["text", "ca.pem"]);
        self.write("bad.pem", "this is no PEM\n");
        self.write("empty.pem", "");
    }

    /// What servers show: good ones, and those that a JVM takes and others do not.
    fn servers(&self) {
        let named = "subjectAltName=DNS:localhost,IP:127.0.0.1";
        self.signed("A", "rsa:2048", "sha256", Some(named));
        self.signed("C", "rsa:2048", "sha256", Some("keyUsage=digitalSignature"));
        self.signed("E", "rsa:2048", "sha256", Some("subjectAltName=DNS:other.example"));
        self.signed("F", "rsa:2048", "sha256", None);
        self.signed("W", "rsa:1024", "sha256", Some(named));
        self.signed("S1", "rsa:2048", "sha1", Some(named));
        self.signed("P5", "ec -pkeyopt ec_paramgen_curve:P-521", "sha256", Some(named));
        self.signed("P4", "ec -pkeyopt ec_paramgen_curve:P-384", "sha384", Some(named));
        self.openssl(
            "req -x509 -newkey rsa:2048 -nodes -keyout B.key -out B.pem -days 30 -subj /CN=localhost",
        );
    }

    fn clients(&self) {
        let client = Some("extendedKeyUsage=clientAuth");
        for name in ["cli", "cli2"] {
            self.signed(name, "rsa:2048", "sha256", client);
        }
        self.signed("cliv1", "rsa:2048", "sha256", None);
        self.signed("ec", "ec -pkeyopt ec_paramgen_curve:P-256", "sha256", client);
        self.signed("ed", "ed25519", "sha256", client);
        self.openssl("rsa -in cli.key -traditional -out cli.p1.key");
        self.openssl("pkcs8 -topk8 -in cli.key -passout pass:secret -out cli.enc.key");
        self.openssl(
            "rsa -in cli.key -aes128 -passout pass:secret -traditional -out cli.encp1.key",
        );
        self.openssl("ec -in ec.key -out ec.sec1.key");
        self.openssl("pkcs8 -topk8 -nocrypt -in ec.key -out ec.p8.key");
        self.openssl("ecparam -name prime256v1 -out ec.params.key");
        self.join("ec.withparams.key", &["ec.params.key", "ec.sec1.key"]);
        self.join("cli.chain.pem", &["cli.pem", "ca.pem"]);
        self.join("cli.badorder.pem", &["ca.pem", "cli.pem"]);
        self.join("cli.combined.pem", &["cli.pem", "cli.key"]);
        self.join("cli.text.pem", &["text", "cli.pem"]);
    }

    fn by_openssl(&self) {
        let export = |out: &str, more: &str| {
            self.openssl(&format!(
                "pkcs12 -export -in cli.pem -inkey cli.key -certfile ca.pem -out {out} {more}"
            ));
        };
        export("o-key.p12", "-name client -passout pass:secret");
        export("mykey.p12", "-name mykey -passout pass:secret");
        export("o-legacy.p12", "-name client -passout pass:secret -legacy");
        export("o-plain.p12", "-name client -keypbe NONE -certpbe NONE -nomac -passout pass:");
        export("o-emptypw.p12", "-name client -passout pass:");
        self.openssl("pkcs12 -export -nokeys -in ca.pem -out o-trust.p12 -passout pass:secret");
        self.openssl(
            "pkcs12 -export -in ec.pem -inkey ec.key -name e -out e.p12 -passout pass:secret",
        );
    }

    /// What keytool writes, and once more what that of a newer JDK writes, where there is one.
    fn by_keytool(&self) {
        let usual = PathBuf::from("keytool");
        let newer = newer_keytool().unwrap_or_else(|| usual.clone());
        std::thread::scope(|scope| {
            for (prefix, tool) in [("17", &usual), ("25", &newer)] {
                scope.spawn(move || {
                    for kind in ["PKCS12", "JKS", "JCEKS"] {
                        self.keytool(
                            tool,
                            &format!(
                                "-importkeystore -srckeystore mykey.p12 -srcstoretype PKCS12 \
                             -srcstorepass secret -destkeystore k{prefix}.{kind} -deststoretype \
                             {kind} -deststorepass secret"
                            ),
                        );
                        self.trusting(tool, &format!("t{prefix}.{kind}"), kind, "theca", "ca.pem");
                    }
                });
            }
            scope.spawn(|| {
                self.trusting(&usual, "t17two.JKS", "JKS", "theca", "ca.pem");
                self.trusting(&usual, "t17two.JKS", "JKS", "b", "B.pem");
                self.keytool(
                    &usual,
                    "-importkeystore -srckeystore mykey.p12 -srcstoretype PKCS12 \
                     -srcstorepass secret -srcalias mykey -destkeystore k17-kp.JKS -deststoretype \
                     JKS -deststorepass secret -destkeypass other1",
                );
                for kind in ["JKS", "PKCS12"] {
                    self.keytool(&usual, &format!(
                        "-genkeypair -keyalg EC -groupname secp256r1 -alias curve -dname CN=curve \
                         -keystore ec.{kind} -storetype {kind} -storepass secret -keypass secret"
                    ));
                }
                self.keytool(
                    &usual,
                    "-exportcert -rfc -alias curve -keystore ec.JKS -storepass \
                     secret -file ec.JKS.pem",
                );
                self.keytool(
                    &usual,
                    "-exportcert -rfc -alias curve -keystore ec.PKCS12 -storepass \
                     secret -file ec.PKCS12.pem",
                );
            });
        });
    }

    fn trusting(&self, tool: &Path, store: &str, kind: &str, alias: &str, certificate: &str) {
        self.keytool(tool, &format!(
            "-importcert -noprompt -alias {alias} -file {certificate} -keystore {store} -storetype \
             {kind} -storepass secret"
        ));
    }

    /// Makes a key and a certificate for it by the authority: X.509 v1 if it has no extensions.
    fn signed(&self, name: &str, key: &str, hash: &str, extensions: Option<&str>) {
        let common = if name.starts_with(char::is_lowercase) { name } else { "localhost" };
        self.openssl(&format!(
            "req -newkey {key} -nodes -keyout {name}.key -out {name}.csr -subj /CN={common}"
        ));
        self.write(&format!("{name}.ext"), extensions.unwrap_or_default());
        let with = extensions.map(|_| format!("-extfile {name}.ext")).unwrap_or_default();
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -{hash} \
             -out {name}.pem {with}"
        ));
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("a file can be written");
    }

    fn join(&self, name: &str, parts: &[&str]) {
        let read = |part: &&str| std::fs::read(self.path(part)).expect("the part was made");
        let bytes: Vec<u8> = parts.iter().flat_map(read).collect();
        std::fs::write(self.path(name), bytes).expect("a file can be written");
    }

    fn openssl(&self, arguments: &str) {
        self.run(Path::new("openssl"), arguments);
    }

    fn keytool(&self, tool: &Path, arguments: &str) {
        self.run(tool, arguments);
    }

    fn run(&self, tool: &Path, arguments: &str) {
        let mut command = Command::new(tool);
        command.args(arguments.split_whitespace()).current_dir(self.folder());
        let done = command.stdin(Stdio::null()).output().expect("the tool runs");
        let said = String::from_utf8_lossy(&done.stderr);
        let out = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success(), "{} {arguments}\n{out}\n{said}", tool.display());
    }
}

/// Finds the keytool of another JDK, by the usual folder.
fn newer_keytool() -> Option<PathBuf> {
    let homes = std::fs::read_dir("/usr/lib/jvm").ok()?;
    let mut tools: Vec<PathBuf> = homes
        .filter_map(|home| Some(home.ok()?.path().join("bin/keytool")))
        .filter(|tool| tool.exists() && !tool.to_string_lossy().contains("-17"))
        .collect();
    tools.sort();
    tools.pop()
}
