//! Each kind of store under each type, with the right password, a wrong, an empty one and none.

use zonesync_test_servers::stores::{PASSWORD, Stores};

use crate::{build, keys};

/// What is to come of opening a store.
#[derive(Clone, Copy)]
enum Want {
    /// It opens.
    Opens,
    /// It does not; the message names this key and says this.
    Fails(&'static str, &'static str),
}
use Want::{Fails, Opens};

const WRONG: Want = Fails("password", "is not the password of this store");
const MISSING: Want = Fails("password", "needs its password");

/// Opens `file` as a keystore or truststore of each type and compares.
fn check(stores: &Stores, block: &str, file: &str, password: Option<&str>, want: Want) {
    let types: &[&str] =
        if block == "keystore" { &["JKS", "pkcs12"] } else { &["JKS", "pkcs12", "PEM"] };
    for kind in types {
        let mut lines = format!(
            "ssl: true\ntrustAll: {}\n{block}.type: {kind}\n{block}.path: {}\n",
            block == "keystore",
            stores.path(file).display()
        );
        if let Some(password) = password {
            lines += &format!("{block}.password: {password}\n");
        }
        let what = format!("{block} {file} as {kind} with {password:?}");
        match (build(&keys(&lines)), want) {
            (Ok(_), Opens) => {}
            (Err(error), Fails(key, says)) => {
                assert_eq!(error.lines().count(), 1, "{what}: {error}");
                let key = format!("distributed-sync.redis.{block}.{key} ");
                assert!(error.starts_with(&key) && error.contains(says), "{what}: {error}");
                let shown = password.is_some_and(|word| !word.is_empty() && error.contains(word));
                assert!(!shown, "{what}: the password is shown: {error}");
            }
            (Err(error), Opens) => panic!("{what}: {error}"),
            (Ok(_), Fails(..)) => panic!("{what} opens"),
        }
    }
}

#[test]
fn key_stores_open_with_their_password() {
    let Some(stores) = Stores::make() else { return };
    let wrong = Some("wrong-word");
    for file in ["k17.PKCS12", "k25.PKCS12", "o-key.p12", "o-legacy.p12", "e.p12", "ec.PKCS12"] {
        check(&stores, "keystore", file, Some(PASSWORD), Opens);
        check(&stores, "keystore", file, wrong, WRONG);
        check(&stores, "keystore", file, Some(""), MISSING);
        check(&stores, "keystore", file, None, MISSING);
    }
    for file in ["k17.JKS", "k25.JKS", "ec.JKS"] {
        check(&stores, "keystore", file, Some(PASSWORD), Opens);
        check(&stores, "keystore", file, wrong, WRONG);
        check(&stores, "keystore", file, Some(""), MISSING);
        check(&stores, "keystore", file, None, MISSING);
    }
    check(&stores, "keystore", "o-emptypw.p12", None, Opens);
    check(&stores, "keystore", "o-emptypw.p12", wrong, WRONG);
    check(&stores, "keystore", "o-plain.p12", None, Opens);
    check(&stores, "keystore", "k17-kp.JKS", Some(PASSWORD), Fails("password", "not its password"));
    check(&stores, "keystore", "k17.JCEKS", Some(PASSWORD), Fails("path", "JCEKS"));
    check(&stores, "keystore", "t17.JKS", Some(PASSWORD), Fails("path", "no key"));
    check(&stores, "keystore", "o-trust.p12", Some(PASSWORD), Fails("path", "no key"));
    check(&stores, "keystore", "cli.combined.pem", None, Opens);
    check(&stores, "keystore", "nowhere", None, Fails("path", "cannot be read: No such file"));
    check(&stores, "keystore", ".", None, Fails("path", "it is a folder"));
    check(&stores, "keystore", "bad.pem", None, Fails("path", "neither PKCS#12 nor JKS nor PEM"));
    check(&stores, "keystore", "empty.pem", None, Fails("path", "the file is empty"));
}

#[test]
fn trust_stores_open_with_their_password() {
    let Some(stores) = Stores::make() else { return };
    let wrong = Some("wrong-word");
    for file in ["t17.PKCS12", "t25.PKCS12", "o-trust.p12"] {
        check(&stores, "truststore", file, Some(PASSWORD), Opens);
        check(&stores, "truststore", file, wrong, WRONG);
        check(&stores, "truststore", file, None, MISSING);
    }
    for file in ["t17.JKS", "t25.JKS", "t17two.JKS", "k17.JKS"] {
        check(&stores, "truststore", file, Some(PASSWORD), Opens);
        check(&stores, "truststore", file, wrong, WRONG);
        check(&stores, "truststore", file, None, Opens);
    }
    for file in ["ca.pem", "two-ca.pem", "ca.text.pem"] {
        check(&stores, "truststore", file, wrong, Opens);
    }
    check(&stores, "truststore", "t17.JCEKS", Some(PASSWORD), Fails("path", "JCEKS"));
    check(&stores, "truststore", "cli.key", None, Fails("path", "no certificate in PEM"));
}

#[test]
fn a_store_that_is_cut_or_changed_is_an_error_and_no_panic() {
    let Some(stores) = Stores::make() else { return };
    for file in ["k17.JKS", "t17.JKS", "k17.PKCS12", "o-legacy.p12"] {
        let bytes = std::fs::read(stores.path(file)).unwrap();
        for step in 1..40 {
            let at = bytes.len() * step / 40;
            let mut changed = bytes.clone();
            changed[at] ^= 0x41;
            for (name, bytes) in [("cut", &bytes[..at]), ("changed", &changed)] {
                std::fs::write(stores.path(name), bytes).unwrap();
                let lines = format!(
                    "ssl: true\nkeystore.type: JKS\nkeystore.password: {PASSWORD}\n\
                     keystore.path: {}\n",
                    stores.path(name).display()
                );
                assert!(build(&keys(&lines)).is_err(), "{file} {name} at {at}");
            }
        }
    }
    std::fs::write(stores.path("large"), vec![0x30; (1 << 20) + 1]).unwrap();
    check(&stores, "truststore", "large", None, Fails("path", "larger than 1048576 bytes"));
}

#[test]
fn an_alias_names_one_entry_whatever_its_case() {
    let Some(stores) = Stores::make() else { return };
    let with = |block: &str, file: &str, alias: &str| {
        let lines = format!(
            "ssl: true\ntrustAll: {}\n{block}.type: JKS\n{block}.path: {}\n{block}.password: \
             {PASSWORD}\n{block}.alias: {alias}\n",
            block == "keystore",
            stores.path(file).display()
        );
        build(&keys(&lines))
    };
    for file in ["k17.JKS", "k17.PKCS12"] {
        let warned = |alias: &str| {
            let built = with("keystore", file, alias).unwrap_or_else(|error| panic!("{error}"));
            built.warnings.iter().any(|warning| warning.key.ends_with("keystore.alias"))
        };
        assert!(!warned("mykey"), "{file}");
        assert!(warned("MyKey"), "{file}: a stock gateway finds no entry");
        let error = with("keystore", file, "nope").err().unwrap();
        assert!(error.contains("keystore.alias (property"), "{error}");
        assert!(
            error.contains("there are [\"mykey\"]") && error.contains("got \"nope\""),
            "{error}"
        );
    }
    assert!(with("truststore", "t17two.JKS", "b").is_ok());
    assert!(with("truststore", "t17two.JKS", "c").is_err());
}

#[test]
fn a_key_of_a_jks_may_have_a_password_of_its_own() {
    let Some(stores) = Stores::make() else { return };
    let with = |more: &str| {
        let path = stores.path("k17-kp.JKS");
        build(&keys(&format!(
            "ssl: true\nkeystore.type: JKS\nkeystore.path: {}\n{more}",
            path.display()
        )))
    };
    assert!(with("keystore.password: secret\nkeystore.keyPassword: other1\n").is_ok());
    assert!(with("keystore.keyPassword: other1\n").is_ok(), "then the store is not checked");
    let error = with("keystore.password: secret\nkeystore.keyPassword: zzz9\n").err().unwrap();
    assert!(error.contains("keystore.keyPassword (property") && !error.contains("zzz9"), "{error}");
}

#[test]
fn all_that_is_wrong_with_stores_is_told_at_once() {
    let Some(stores) = Stores::make() else { return };
    let folder = stores.folder().display();
    let lines = format!(
        "ssl: true\ntrustAll: false\ntruststore.type: pem\ntruststore.path: {folder}/none.pem\n\
         tlsProtocols: TLSv1\ntlsCiphers: FOO\nkeystore.type: pem\n\
         keystore.certificates[0].cert: {folder}/cli.pem\n\
         keystore.certificates[0].key: {folder}/cli2.key\n\
         keystore.certificates[1].cert: {folder}/bad.pem\n\
         keystore.certificates[1].key: {folder}/cli.enc.key\n\
         keystore.certificates[2].cert: {folder}/cli.badorder.pem\n\
         keystore.certificates[2].key: {folder}/cli.encp1.key\n\
         keystore.certificates[3].cert: {folder}/P5.pem\n\
         keystore.certificates[3].key: {folder}/P5.key\n\
         keystore.certificates[4].cert: {folder}/W.pem\n\
         keystore.certificates[4].key: {folder}/W.key\nport: 99999\n"
    );
    let error = build(&keys(&lines)).err().expect("all of it is wrong");
    for (key, says) in [
        ("port", "from 1 to 65535"),
        ("truststore.path", "No such file"),
        ("tlsProtocols", "no protocol is left"),
        ("tlsCiphers", "\"FOO\" is no cipher suite"),
        ("keystore.certificates[0].key", "not the key of the first certificate"),
        ("keystore.certificates[1].cert", "no certificate in PEM"),
        ("keystore.certificates[1].key", "encrypted PEM keys are not supported"),
        ("keystore.certificates[2].key", "encrypted PEM keys are not supported"),
        ("keystore.certificates[3].key", "the curve P-521"),
        ("keystore.certificates[4].key", "has 1024 bits"),
    ] {
        let key = format!("distributed-sync.redis.{key} (property");
        let told = error.lines().any(|line| line.starts_with(&key) && line.contains(says));
        assert!(told, "{key} {says} is missing in\n{error}");
    }
    assert_eq!(error.lines().count(), 10, "{error}");
}
