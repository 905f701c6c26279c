//! What [`decode`] makes of bytes.

use proptest::prelude::*;

use super::super::load::build;
use super::super::{ImageError, decode, verify};
use super::*;

/// Reads an image into a state. Gives where it stands and the ids that it holds.
fn read(bytes: &[u8]) -> Result<(Position, Vec<String>), ImageError> {
    let image = decode(bytes, Some(&own()))?;
    let (head, writer) = build(&image, own().digest_key)?;
    let view = writer.view();
    assert_eq!(view.position(), head.position());
    if *view.digest() != head.digest {
        return Err(ImageError::Digest);
    }
    Ok((view.position(), view.sorted().map(|(key, _)| key.id.to_owned()).collect()))
}

fn ids(text: &str) -> Vec<String> {
    text.chars().map(String::from).collect()
}

#[test]
fn an_image_gives_back_what_was_put_into_it() {
    let maker = Maker::whole(&own());
    assert_eq!(read(&maker.bytes).unwrap(), (at(3), ids("ac")));
    let image = decode(&maker.bytes, Some(&own())).unwrap();
    assert_eq!((image.zone, image.journal_len()), ("harbour", 2));
    assert_eq!(image.end, maker.bytes.len());
    assert!(image.at > WallTime::from_millis(2000), "it is as old as its newest frame");
}

#[test]
fn cut_anywhere_it_is_refused_or_an_earlier_state() {
    let maker = Maker::whole(&own());
    let snapshot_end = Maker::snapshot(&own()).bytes.len();
    let first = {
        let mut maker = Maker::snapshot(&own());
        maker.undeploy(&own(), "b", 2);
        maker.bytes.len()
    };
    for cut in 0..maker.bytes.len() {
        let result = read(&maker.bytes[..cut]);
        match cut {
            _ if cut < snapshot_end => drop(result.expect_err("half a snapshot is none")),
            _ if cut < first => assert_eq!(result.unwrap(), (at(1), ids("abc")), "{cut}"),
            _ => assert_eq!(result.unwrap(), (at(2), ids("ac")), "{cut}"),
        }
        // What the system leaves of a file whose end never reached the disk.
        let mut zeros = maker.bytes[..cut].to_vec();
        zeros.resize(maker.bytes.len() + 100, 0);
        if let Ok((position, _)) = read(&zeros) {
            assert!(cut >= snapshot_end && position < at(3), "{cut} {position}");
        }
    }
}

#[test]
fn each_flipped_byte_is_noticed() {
    let maker = Maker::whole(&own());
    let last = {
        let mut maker = Maker::snapshot(&own());
        maker.undeploy(&own(), "b", 2);
        maker.bytes.len()
    };
    for at_byte in 0..maker.bytes.len() {
        for flip in [1, 0x80, 0xff] {
            let mut flipped = maker.bytes.clone();
            flipped[at_byte] ^= flip;
            match read(&flipped) {
                // The last frame alone may be a torn one.
                Ok(found) => assert!(at_byte >= last && found == (at(2), ids("ac")), "{at_byte}"),
                Err(error) => assert!(error.is_of_file(), "{at_byte}: {error}"),
            }
        }
    }
}

#[test]
fn images_of_others_are_refused_by_name() {
    let maker = Maker::whole(&own());
    let text = |own: Identity| decode(&maker.bytes, Some(&own)).unwrap_err().to_string();
    let zone = text(Identity { zone: "orders".parse().unwrap(), ..own() });
    assert_eq!(zone, "this is an image with another zone: harbour, not orders");
    let key = text(Identity { digest_key: DigestKey([4; 16]), ..own() });
    assert!(key.contains("another digest key"), "{key}");
    let filter = text(Identity { filter: Filter(1), ..own() });
    assert!(filter.contains("another filter"), "{filter}");
    assert!(decode(&maker.bytes, None).is_ok(), "whoever asks for no identity takes any");
    let mut newer = maker.bytes.clone();
    newer[16] = 2;
    let newer = decode(&newer, None).unwrap_err().to_string();
    assert!(newer.contains("format 2 is newer than 1"), "{newer}");
    let other = decode(b"PK\x03\x04 and so on", None).unwrap_err();
    assert!(matches!(other, ImageError::NotAnImage));
}

#[test]
fn a_frame_counts_only_at_its_place_and_in_its_image() {
    let (maker, snapshot) = (Maker::whole(&own()), Maker::snapshot(&own()));
    let start = snapshot.bytes.len();
    // Twice the same journal.
    let mut twice = maker.bytes.clone();
    twice.extend_from_slice(&maker.bytes[start..]);
    assert!(matches!(decode(&twice, None), Err(ImageError::Damaged { .. })));
    // Twice a frame that would follow from anything.
    let mut empty = Maker::snapshot(&own());
    empty.journal(&[]);
    let frame = empty.bytes[start..].to_vec();
    empty.bytes.extend(frame);
    assert!(matches!(decode(&empty.bytes, None), Err(ImageError::Damaged { .. })));
    // The journal of an image with another seed.
    let (_, other) = Encoder::begin(&own(), 78);
    let mut mixed = other;
    mixed.extend_from_slice(&maker.bytes[mixed.len()..]);
    assert!(matches!(decode(&mixed, None), Err(ImageError::Damaged { .. })));
}

#[test]
fn what_does_not_follow_is_damage_although_its_checksums_are_right() {
    let mut gap = Maker::snapshot(&own());
    let _ = gap.batch(&own(), "a", 2);
    gap.undeploy(&own(), "b", 3);
    assert!(read(&gap.bytes).unwrap_err().to_string().contains("does not follow"));

    let mut moved = Maker::snapshot(&own());
    moved.head.digest = Digest::EMPTY;
    moved.mark(2);
    assert!(read(&moved.bytes).unwrap_err().to_string().contains("does not follow"));

    let mut lies = Maker::snapshot(&own());
    // The batch says that an API went which was not there.
    lies.undeploy(&own(), "nobody", 2);
    assert!(matches!(read(&lies.bytes), Err(ImageError::Digest)));
}

#[test]
fn a_length_is_not_trusted() {
    for length in [u32::MAX, 1 << 31, 65 << 20] {
        let mut maker = Maker::snapshot(&own());
        let start = maker.bytes.len();
        maker.mark(2);
        maker.bytes[start + 1..start + 5].copy_from_slice(&length.to_le_bytes());
        assert!(matches!(read(&maker.bytes), Err(ImageError::Damaged { .. })), "{length}");
    }
    // With the right checksum over a wrong length, too.
    let mut maker = Maker::snapshot(&own());
    let mut body = vec![0; 8];
    body.extend_from_slice(&u32::MAX.to_le_bytes());
    maker.bytes.extend(maker.encoder.frame(b'J', &body));
    assert!(matches!(read(&maker.bytes), Err(ImageError::Damaged { .. })));
}

#[test]
fn an_unknown_kind_of_frame_is_damage() {
    let mut maker = Maker::snapshot(&own());
    maker.bytes.extend(maker.encoder.frame(b'X', b"12345678"));
    assert!(matches!(read(&maker.bytes), Err(ImageError::Damaged { .. })));
}

#[test]
fn an_image_can_be_verified_without_its_node() {
    let own = own();
    let mut maker = Maker::whole(&own);
    let verified = verify(&maker.bytes, &own.digest_key).unwrap();
    assert!(verified.agrees() && verified.position == at(3));
    assert_eq!((verified.kinds.len(), verified.kinds[0].count), (1, 2));
    let other = verify(&Maker::snapshot(&own).bytes, &DigestKey([9; 16])).unwrap();
    assert!(!other.agrees(), "another key gives other sums");
    maker.bytes[60] ^= 1;
    assert!(verify(&maker.bytes, &own.digest_key).is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode(&bytes, Some(&own()));
        let mut behind = Maker::snapshot(&own()).bytes;
        behind.extend_from_slice(&bytes);
        let _ = read(&behind);
    }

    #[test]
    fn no_bodies_make_it_panic(
        kind in prop::sample::select(b"ICSJ".as_slice()),
        body in prop::collection::vec(any::<u8>(), 0..200),
        journal: bool,
    ) {
        let (mut encoder, mut bytes) = Encoder::begin(&own(), 1);
        if journal {
            let maker = Maker::snapshot(&own());
            (encoder, bytes) = (maker.encoder, maker.bytes);
        }
        bytes.extend(encoder.frame(kind, &body));
        let _ = read(&bytes);
    }

    #[test]
    fn a_damaged_image_gives_an_earlier_state_or_an_error(
        at_byte in any::<prop::sample::Index>(),
        length in 1..20_usize,
        with in any::<u8>(),
    ) {
        let maker = Maker::whole(&own());
        let mut bytes = maker.bytes.clone();
        let start = at_byte.index(bytes.len());
        let end = (start + length).min(bytes.len());
        bytes[start..end].fill(with);
        if let Ok((position, _)) = read(&bytes) {
            prop_assert!(bytes == maker.bytes || position < at(3));
        }
    }
}
