//! The bytes of an image, as `image.rs` describes them, made front to back.

use zonesync_core::format::Head;
use zonesync_core::format::bytes::Writer;
use zonesync_core::time::WallTime;

use super::format::{
    BODY_MAX, CHUNK, FORMAT, FRAME_HEAD_LEN, FRAME_SUM_LEN, IDENTITY, Identity, Image, JOURNAL,
    MAGIC, PROLOGUE_LEN, SEALED, frame_sum, hash, low,
};

/// Makes the frames of one image.
#[derive(Clone, Debug)]
pub(super) struct Encoder {
    seed: u128,
    at: usize,
}

impl Encoder {
    /// Begins an image. Gives its first bytes, too.
    pub(super) fn begin(own: &Identity, seed: u128) -> (Self, Vec<u8>) {
        let mut writer = Writer::new();
        writer.put(&MAGIC);
        writer.u16(FORMAT);
        writer.u128(seed);
        writer.u64(low(&hash(0, &[writer.bytes()])));
        let mut encoder = Self { seed, at: PROLOGUE_LEN };
        let mut body = Writer::new();
        body.part(|writer| writer.put(own.zone.as_str().as_bytes()));
        body.u128(own.mark(seed));
        body.u128(own.filter.0);
        let mut bytes = writer.into_bytes();
        bytes.extend(encoder.frame(IDENTITY, body.bytes()));
        (encoder, bytes)
    }

    /// Goes on with an image that was read.
    pub(super) fn resume(image: &Image<'_>) -> Self {
        Self { seed: image.seed, at: image.end }
    }

    /// Gives the length so far.
    pub(super) fn len(&self) -> usize {
        self.at
    }

    pub(super) fn chunk(&mut self, record: &[u8]) -> Vec<u8> {
        self.frame(CHUNK, record)
    }

    pub(super) fn sealed(&mut self, at: WallTime, head: &Head) -> Vec<u8> {
        let mut body = Writer::new();
        body.i64(at.as_millis());
        body.put(&head.encode());
        self.frame(SEALED, body.bytes())
    }

    /// Makes a journal frame of records.
    pub(super) fn journal<'a>(
        &mut self,
        at: WallTime,
        records: impl IntoIterator<Item = &'a [u8]>,
    ) -> Vec<u8> {
        let mut body = Writer::new();
        body.i64(at.as_millis());
        records.into_iter().for_each(|record| body.part(|writer| writer.put(record)));
        self.frame(JOURNAL, body.bytes())
    }

    pub(super) fn frame(&mut self, kind: u8, body: &[u8]) -> Vec<u8> {
        assert!(body.len() <= BODY_MAX, "a frame has a bounded body");
        let length = (body.len() as u32).to_le_bytes();
        let at = (self.at as u64).to_le_bytes();
        let mut writer = Writer::with_capacity(FRAME_HEAD_LEN + body.len() + FRAME_SUM_LEN);
        writer.u8(kind);
        writer.put(&length);
        writer.u32(low(&hash(self.seed, &[&at, &[kind], &length])) as u32);
        writer.put(body);
        writer.u64(frame_sum(self.seed, self.at, kind, body));
        self.at += writer.bytes().len();
        writer.into_bytes()
    }
}
