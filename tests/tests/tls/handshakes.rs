//! Whom we take, whom we refuse and in which words, and what we show when we are asked.

use zonesync_test_servers::stores::Stores;
use zonesync_test_servers::tls::TlsServer;

use crate::{build, keys, speak};

/// Trusts one file, and checks names if asked to.
fn trusting(stores: &Stores, file: &str, names: &str) -> String {
    format!(
        "ssl: true\ntrustAll: false\ntruststore.type: PEM\ntruststore.path: {}\n\
         hostnameVerificationAlgorithm: {names}\n",
        stores.path(file).display()
    )
}

fn says(stores: &Stores, lines: &str, server: &str, host: &str) -> String {
    let built = build(&keys(lines)).unwrap_or_else(|error| panic!("{error}"));
    let server = TlsServer::start(stores.folder(), server);
    speak(&built.tls, host, server.port()).err().unwrap_or_default()
}

#[test]
fn a_server_is_taken_by_chain_and_name() {
    let Some(stores) = Stores::make() else { return };
    let server = |name: &str| format!("-cert {name}.pem -key {name}.key");
    for (trusted, names, shown, host, refusal) in [
        ("ca.pem", "HTTPS", "A", "localhost", ""),
        ("ca.pem", "HTTPS", "A", "127.0.0.1", ""),
        ("ca.pem", "ldaps", "P4", "localhost", ""),
        ("ca2.pem", "NONE", "A", "localhost", "UnknownIssuer"),
        ("two-ca.pem", "HTTPS", "A", "localhost", ""),
        ("ca.pem", "NONE", "E", "localhost", ""),
        ("ca.pem", "HTTPS", "E", "localhost", "not valid for name"),
        ("ca.pem", "HTTPS", "A", "127.0.0.2", "not valid for name"),
        // The common name counts for hosts alone, and where no others are named.
        ("ca.pem", "HTTPS", "C", "localhost", ""),
        ("ca.pem", "HTTPS", "C", "other.example", "not valid for name"),
        ("ca.pem", "HTTPS", "C", "127.0.0.1", "not valid for name"),
        // One's own certificate in the truststore, to the byte.
        ("ca.pem", "NONE", "B", "localhost", "one of a certificate authority"),
        ("B.pem", "HTTPS", "B", "localhost", ""),
        ("B.pem", "HTTPS", "B", "other.example", "not valid for name"),
        ("A.pem", "HTTPS", "A", "localhost", ""),
        ("F.pem", "HTTPS", "F", "localhost", ""),
        ("F.pem", "HTTPS", "F", "other.example", "not one for other.example"),
        ("ca.pem", "NONE", "F", "localhost", "of version 1"),
    ] {
        let said = says(&stores, &trusting(&stores, trusted, names), &server(shown), host);
        let fits = if refusal.is_empty() { said.is_empty() } else { said.contains(refusal) };
        assert!(fits, "{trusted} {names} {shown} {host}: {said:?}, not {refusal:?}");
    }
}

#[test]
fn the_reason_is_told_where_others_would_not_mind() {
    let Some(stores) = Stores::make() else { return };
    let ca = trusting(&stores, "ca.pem", "NONE");
    let old = "-cipher DEFAULT@SECLEVEL=0";
    let weak = format!("-cert W.pem -key W.key {old}");
    for lines in [&ca, "ssl: true\n"] {
        let said = says(&stores, lines, &weak, "localhost");
        assert!(said.contains("RSA key has 1024 bits"), "{said}");
    }
    let sha1 = format!("-cert S1.pem -key S1.key {old}");
    let said = says(&stores, &ca, &sha1, "localhost");
    assert!(said.contains("signed with SHA-1"), "{said}");
    let said = says(&stores, "ssl: true\n", &sha1, "localhost");
    assert_eq!(said, "", "without a chain that signature says nothing");
}

#[test]
fn whoever_takes_all_still_checks_names_and_signatures() {
    let Some(stores) = Stores::make() else { return };
    let all = "ssl: true\nhostnameVerificationAlgorithm: HTTPS\n";
    assert_eq!(says(&stores, all, "-cert B.pem -key B.key", "localhost"), "");
    for versions in ["-tls1_2", "-tls1_3"] {
        let v1 = format!("-cert F.pem -key F.key {versions}");
        assert_eq!(says(&stores, all, &v1, "localhost"), "", "{versions}");
    }
    let said = says(&stores, all, "-cert E.pem -key E.key", "localhost");
    assert!(said.contains("not valid for name"), "{said}");
    let built = build(&keys("ssl: true\n")).unwrap();
    let warned = built.warnings.iter().filter(|warning| warning.key.ends_with("trustAll")).count();
    assert_eq!(warned, 1);
}

#[test]
fn a_blank_algorithm_checks_names() {
    let Some(stores) = Stores::make() else { return };
    let mut lines = keys("ssl: true\n");
    lines.push(("hostnameVerificationAlgorithm".to_owned(), String::new()));
    let built = build(&lines).unwrap();
    let server = TlsServer::start(stores.folder(), "-cert E.pem -key E.key");
    assert!(speak(&built.tls, "localhost", server.port()).is_err());
}

/// Asks for a client certificate, and takes none but those of one authority.
fn asking(versions: &str, more: &str) -> String {
    format!(
        "-cert A.pem -key A.key {versions} -CAfile ca.pem -Verify 3 -verify_return_error {more}"
    )
}

#[test]
fn a_client_certificate_is_shown_from_every_store() {
    let Some(stores) = Stores::make() else { return };
    let path = |name: &str| stores.path(name).display().to_string();
    let pem = |pairs: &[(&str, &str)]| {
        let mut lines = "ssl: true\nkeystore.type: PEM\n".to_owned();
        for (i, (cert, key)) in pairs.iter().enumerate() {
            lines += &format!("keystore.certificates[{i}].cert: {}\n", path(cert));
            lines += &format!("keystore.certificates[{i}].key: {}\n", path(key));
        }
        lines
    };
    let store = |name: &str| {
        format!(
            "ssl: true\nkeystore.type: JKS\nkeystore.path: {}\nkeystore.password: secret\n",
            path(name)
        )
    };
    let all = [
        pem(&[("cli.pem", "cli.key")]),
        pem(&[("cli.chain.pem", "cli.p1.key")]),
        pem(&[("cli.combined.pem", "cli.combined.pem")]),
        pem(&[("cli.text.pem", "cli.key")]),
        pem(&[("ec.pem", "ec.sec1.key")]),
        pem(&[("ec.pem", "ec.p8.key")]),
        pem(&[("ec.pem", "ec.withparams.key")]),
        pem(&[("ed.pem", "ed.key")]),
        pem(&[("cliv1.pem", "cliv1.key")]),
        // Not of the authority that the server names, so the other is shown.
        pem(&[("B.pem", "B.key"), ("cli.pem", "cli.key")]),
        store("k17.JKS"),
        store("k17.PKCS12"),
        store("k25.PKCS12"),
        store("o-key.p12"),
        store("o-legacy.p12"),
        store("e.p12"),
    ];
    for versions in ["-tls1_2", "-tls1_3"] {
        let server = TlsServer::start(stores.folder(), &asking(versions, ""));
        for lines in &all {
            let built = build(&keys(lines)).unwrap_or_else(|error| panic!("{error}\n{lines}"));
            let said = speak(&built.tls, "localhost", server.port());
            assert_eq!(said, Ok(()), "{versions} {lines}");
        }
        let none = build(&keys("ssl: true\n")).unwrap();
        assert!(speak(&none.tls, "localhost", server.port()).is_err(), "{versions}");
        let foreign = build(&keys(&pem(&[("B.pem", "B.key")]))).unwrap();
        assert!(speak(&foreign.tls, "localhost", server.port()).is_err(), "{versions}");
    }
}

#[test]
fn keys_on_curves_by_keytool_have_no_public_half_and_work() {
    let Some(stores) = Stores::make() else { return };
    for kind in ["JKS", "PKCS12"] {
        let ca =
            format!("-cert A.pem -key A.key -CAfile ec.{kind}.pem -Verify 1 -verify_return_error");
        let server = TlsServer::start(stores.folder(), &ca);
        let lines = format!(
            "ssl: true\nkeystore.type: JKS\nkeystore.password: secret\nkeystore.path: {}\n",
            stores.path(&format!("ec.{kind}")).display()
        );
        let built = build(&keys(&lines)).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(speak(&built.tls, "localhost", server.port()), Ok(()), "{kind}");
    }
}

#[test]
fn the_key_fits_what_the_server_can_check() {
    let Some(stores) = Stores::make() else { return };
    let lines = format!(
        "ssl: true\nkeystore.type: PEM\nkeystore.certificates[0].cert: {0}/cli.pem\n\
         keystore.certificates[0].key: {0}/cli.key\nkeystore.certificates[1].cert: {0}/ec.pem\n\
         keystore.certificates[1].key: {0}/ec.key\n",
        stores.folder().display()
    );
    let built = build(&keys(&lines)).unwrap();
    for only in ["ECDSA+SHA256", "RSA-PSS+SHA256"] {
        let more = format!("-client_sigalgs {only}");
        let server = TlsServer::start(stores.folder(), &asking("-tls1_3", &more));
        assert_eq!(speak(&built.tls, "localhost", server.port()), Ok(()), "{only}");
    }
}

#[test]
fn only_chosen_protocols_and_suites_are_spoken() {
    let Some(stores) = Stores::make() else { return };
    let suite = "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384";
    for (keys, server, works) in [
        ("tlsProtocols: TLSv1.2", "-tls1_2", true),
        ("tlsProtocols: TLSv1.2", "-tls1_3", false),
        ("tlsProtocols: TLSv1.3", "-tls1_2", false),
        (&format!("tlsCiphers: {suite}"), "-tls1_2 -cipher ECDHE-RSA-AES256-GCM-SHA384", true),
        (&format!("tlsCiphers: {suite}"), "-tls1_2 -cipher ECDHE-RSA-AES128-GCM-SHA256", false),
        (&format!("tlsCiphers: {suite}"), "-tls1_3", false),
    ] {
        let said = says(
            &stores,
            &format!("ssl: true\n{keys}\n"),
            &format!("-cert A.pem -key A.key {server}"),
            "localhost",
        );
        assert_eq!(said.is_empty(), works, "{keys} {server}: {said}");
    }
}
