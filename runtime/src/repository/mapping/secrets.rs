//! Encrypted API properties: AES in ECB mode with PKCS#5 padding, base64 outside.
//!
//! Not our choice of cipher: this is how the management side stores them.

use aes::cipher::{Array, BlockCipherDecrypt, BlockSizeUser, KeyInit};
use aes::{Aes128, Aes192, Aes256};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Decrypts `value` with the bytes of `secret`, or gives none if it is not what it seems.
pub(crate) fn decrypt(secret: &str, value: &str) -> Option<String> {
    let bytes = STANDARD.decode(value.trim()).ok()?;
    match secret.len() {
        16 => with_cipher(&Aes128::new_from_slice(secret.as_bytes()).ok()?, bytes),
        24 => with_cipher(&Aes192::new_from_slice(secret.as_bytes()).ok()?, bytes),
        32 => with_cipher(&Aes256::new_from_slice(secret.as_bytes()).ok()?, bytes),
        _ => None,
    }
}

fn with_cipher<C>(cipher: &C, mut bytes: Vec<u8>) -> Option<String>
where
    C: BlockCipherDecrypt + BlockSizeUser<BlockSize = aes::cipher::consts::U16>,
{
    if bytes.is_empty() || !bytes.len().is_multiple_of(16) {
        return None;
    }
    for block in bytes.chunks_exact_mut(16) {
        let mut one = Array::try_from(&*block).ok()?;
        cipher.decrypt_block(&mut one);
        block.copy_from_slice(&one);
    }
    let padding = usize::from(*bytes.last()?);
    let end = bytes.len().checked_sub(padding)?;
    let padded = (1..=16).contains(&padding) && bytes[end..].iter().all(|b| *b as usize == padding);
    bytes.truncate(end);
    padded.then(|| String::from_utf8(bytes).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "vvLJ4Q8Khvv9tm2tIPdkGEdmgKUruAL6";

    #[test]
    fn a_value_comes_back_and_nonsense_does_not() {
        assert_eq!(decrypt(SECRET, "yV1RwKiUHAel7eVrBaIg8Q==").as_deref(), Some("s3cret"));
        assert_eq!(decrypt("0123456789abcdef", "yV1RwKiUHAel7eVrBaIg8Q=="), None);
        for bad in ["", "plain text", "AAAA", "AAAAAAAAAAAAAAAAAAAAAA=="] {
            assert_eq!(decrypt(SECRET, bad), None, "{bad}");
        }
        assert_eq!(decrypt("too short", "yV1RwKiUHAel7eVrBaIg8Q=="), None);
    }
}
