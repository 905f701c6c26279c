//! Keys that encrypt what a zone keeps in its store, each in a file of its own.

use std::fs::File;
use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::settings::{Encryption, KeyFile};
use crate::store::redis;

/// No key file is longer: 32 bytes as they are, as hex or as base64, and a line's end.
const FILE_MAX: u64 = 256;

impl Encryption {
    /// Reads the key files. None if nothing is to be encrypted.
    ///
    /// A file holds 32 bytes as they are, 64 hex digits, or base64 of 32 bytes. The error names the
    /// file, and shows nothing of what it holds.
    pub fn open(&self) -> Result<Option<redis::Encryption>, String> {
        let keys = self.keys.iter().map(open).collect::<Result<Vec<_>, _>>()?;
        let mut keys = keys.into_iter();
        Ok(keys.next().map(|first| {
            let mut encryption = redis::Encryption::new(first, keys);
            encryption.plaintext = self.plaintext;
            encryption
        }))
    }
}

fn open(file: &KeyFile) -> Result<redis::EncryptionKey, String> {
    let KeyFile { id, path } = file;
    let bad = |what: &dyn std::fmt::Display| {
        format!("zonesync.encryption.keys: {id}: {}: {what}", path.display())
    };
    let mut bytes = Zeroizing::new(Vec::with_capacity(FILE_MAX as usize + 1));
    let read = File::open(path).and_then(|file| file.take(FILE_MAX + 1).read_to_end(&mut bytes));
    read.map_err(|error| bad(&error))?;
    let expected = "must hold 32 bytes, as they are, as 64 hex digits, or as base64";
    let key = parse(&bytes).ok_or_else(|| bad(&expected))?;
    redis::EncryptionKey::new(id, *key).ok_or_else(|| bad(&"has an id of no or too many bytes"))
}

fn parse(bytes: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    if let Ok(raw) = bytes.try_into() {
        return Some(Zeroizing::new(raw));
    }
    let text = std::str::from_utf8(bytes).ok()?.trim();
    let mut key = Zeroizing::new([0; 32]);
    if text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        for (byte, place) in key.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&text[place..place + 2], 16).ok()?;
        }
        return Some(key);
    }
    let decoded = Zeroizing::new(STANDARD.decode(text).ok()?);
    key.copy_from_slice(decoded.get(..32).filter(|_| decoded.len() == 32)?);
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_in_each_of_its_forms_and_nothing_else_is() {
        let key: [u8; 32] = std::array::from_fn(|i| i as u8 * 7 + 1);
        let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        let good = [key.to_vec(), hex.clone().into_bytes(), format!("{hex}\n").into_bytes()];
        for bytes in good.into_iter().chain([STANDARD.encode(key).into_bytes()]) {
            assert_eq!(parse(&bytes).as_deref(), Some(&key));
        }
        for bad in ["", "secret", &hex[1..], &STANDARD.encode(&key[1..]), &hex.replace('0', "g")] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad:?}");
        }
    }

    #[test]
    fn a_bad_key_file_is_named_and_not_shown() {
        let path = std::env::temp_dir().join(format!("zonesync-key-{}", std::process::id()));
        std::fs::write(&path, "hunter2").expect("a file can be written");
        let keys = vec![KeyFile { id: "k1".into(), path: path.clone() }];
        let error = Encryption { keys, plaintext: false }.open().expect_err("it is no key");
        std::fs::remove_file(&path).expect("it was there");
        assert!(error.contains("k1") && error.contains("64 hex digits"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}
