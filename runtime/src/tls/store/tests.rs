use proptest::prelude::*;
use sha1::{Digest, Sha1};

use super::*;
use crate::secret::Secret;
use crate::tls::der;

fn utf16(password: &str) -> Vec<u8> {
    password.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

/// Hides a key as Java does.
fn seal(key: &[u8], password: &str) -> Vec<u8> {
    let salt = [7; 20];
    let (mut hidden, mut mask) = (salt.to_vec(), salt);
    for part in key.chunks(20) {
        mask = Sha1::new().chain_update(utf16(password)).chain_update(mask).finalize().into();
        hidden.extend(part.iter().zip(mask).map(|(byte, mask)| byte ^ mask));
    }
    hidden.extend(Sha1::new().chain_update(utf16(password)).chain_update(key).finalize());
    let id = der::element(0x06, &[&[0x2B, 6, 1, 4, 1, 42, 2, 17, 1, 1]]);
    let algorithm = der::element(der::SEQUENCE, &[&id, &[5, 0]]);
    der::element(der::SEQUENCE, &[&algorithm, &der::element(der::OCTETS, &[&hidden])])
}

/// Writes a JKS with one key and one certificate to trust.
fn jks(password: &str, key: &[u8]) -> Vec<u8> {
    let mut out = vec![0xFE, 0xED, 0xFE, 0xED, 0, 0, 0, 2, 0, 0, 0, 2];
    let text = |out: &mut Vec<u8>, text: &str| {
        out.extend((text.len() as u16).to_be_bytes());
        out.extend(text.bytes());
    };
    let bytes = |out: &mut Vec<u8>, bytes: &[u8]| {
        out.extend((bytes.len() as u32).to_be_bytes());
        out.extend(bytes);
    };
    out.extend([0, 0, 0, 1]);
    text(&mut out, "mine");
    out.extend([0; 8]);
    bytes(&mut out, &seal(key, password));
    out.extend([0, 0, 0, 1]);
    text(&mut out, "X.509");
    bytes(&mut out, b"leaf");
    out.extend([0, 0, 0, 2]);
    text(&mut out, "theirs");
    out.extend([0; 8]);
    text(&mut out, "X.509");
    bytes(&mut out, b"authority");
    let sum = Sha1::new().chain_update(utf16(password)).chain_update("Mighty Aphrodite");
    let sum = sum.chain_update(&out).finalize();
    out.extend(sum);
    out
}

#[test]
fn a_jks_gives_its_entries_and_keys() {
    let key = b"a key that is longer than one hash of twenty bytes";
    let bytes = jks("hush", key);
    let (right, wrong) = (Secret::new("hush"), Secret::new("push"));
    let entries = jks::entries(&bytes, Some(&right)).unwrap_or_else(|_| panic!("it opens"));
    let names: Vec<&str> = entries.iter().map(|entry| entry.alias.as_str()).collect();
    assert_eq!(names, ["mine", "theirs"]);
    let What::Sealed { sealed, chain } = &entries[0].what else { panic!("the first is a key") };
    assert_eq!(chain[0].as_ref(), b"leaf");
    assert_eq!(jks::unseal(sealed, &right).unwrap().secret_der(), key);
    assert!(jks::unseal(sealed, &wrong).is_err());
    assert!(matches!(jks::entries(&bytes, Some(&wrong)), Err(Failure::Password(_))));
    assert!(jks::entries(&bytes, None).is_ok(), "without a password it is not checked");
    for len in 0..bytes.len() {
        assert!(jks::entries(&bytes[..len], None).is_err(), "cut at {len}");
    }
}

/// Opens bytes as each kind of store.
fn try_all(bytes: &[u8]) {
    let file = StoreFile {
        kind: StoreKind::Jks,
        path: "x".into(),
        password: None,
        key_password: None,
        alias: None,
    };
    let mut findings = Findings::default();
    let _ = pkcs12::entries(bytes, &file, Part::Keystore, &mut findings);
    let _ = pem::entries(bytes);
    let password = Secret::new("p");
    for password in [None, Some(&password)] {
        let _ = jks::entries(bytes, password);
    }
    let _ = jks::unseal(bytes, &password);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>, magic in 0..4_usize) {
        let magics: [&[u8]; 4] =
            [b"", &[0xFE, 0xED, 0xFE, 0xED, 0, 0, 0, 2], &[0x30, 0x82], b"-----BEGIN "];
        try_all(&[magics[magic], &bytes].concat());
    }

    #[test]
    fn a_changed_jks_never_panics(at in 0..200_usize, with: u8) {
        let mut bytes = jks("hush", b"key");
        let at = at % bytes.len();
        bytes[at] = with;
        try_all(&bytes);
    }
}
