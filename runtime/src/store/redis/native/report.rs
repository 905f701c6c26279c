//! Reports as bytes.
//!
//! A report is stored as `<time> <reading> <record>`: the time is the server's, `<reading>` the
//! position of a snapshot or `-`, for scripts to see. The record is the byte `R`, a version (one
//! byte, 1), then role (one byte: 0 primary, 1 secondary, 2 observer), position, highest epoch seen,
//! fingerprint, count, whether it can stand (one byte), format, filter, and the node's name with its
//! length (one byte) before it. Numbers are little endian; what follows the name is of a later
//! version and skipped.

use zonesync_core::digest::Fingerprint;
use zonesync_core::election::{Report, Role};
use zonesync_core::format::Filter;
use zonesync_core::format::bytes::{DecodeError, Reader, Writer};
use zonesync_core::id::{Epoch, InstanceId, NodeId, Position, Sequence, Term, TermId};

use super::reply::{Bad, Parts, bad};
use super::text;

const MAGIC: u8 = b'R';
const VERSION: u8 = 1;

/// Writes `<reading> <record>`.
pub(super) fn encode(report: &Report) -> Vec<u8> {
    let mut writer = Writer::new();
    let reading = report.reading.map_or_else(|| "-".to_owned(), text::position);
    writer.put(reading.as_bytes());
    writer.put(&[b' ', MAGIC, VERSION]);
    writer.u8(match report.role {
        Role::Primary => 0,
        Role::Secondary => 1,
        Role::Observer => 2,
    });
    writer.u64(report.position.term.epoch.0);
    writer.u128(report.position.term.id.0);
    writer.u64(report.position.sequence.0);
    writer.u64(report.seen.0);
    writer.u128(report.fingerprint.0);
    writer.u64(report.count);
    writer.u8(u8::from(report.can_stand));
    writer.u16(report.format);
    writer.u128(report.filter.0);
    // A name has at most 128 bytes.
    writer.u8(report.node.as_str().len() as u8);
    writer.put(report.node.as_str().as_bytes());
    writer.into_bytes()
}

/// Reads instance, reading and record of each, in the order of instances.
///
/// A report that cannot be read is left out: whoever may write reports alone must not be able to
/// keep the zone from its work.
pub(super) fn read_all(mut parts: Parts) -> Result<Vec<Report>, Bad> {
    let mut reports = Vec::with_capacity(parts.len() / 3);
    while !parts.is_empty() {
        let what = "a report";
        let (instance, reading, record) =
            (parts.bytes(what)?, parts.bytes(what)?, parts.bytes(what)?);
        match read(&instance, &reading, &record) {
            Ok(report) => reports.push(report),
            Err(error) => tracing::debug!(?error, "a report that cannot be read"),
        }
    }
    reports.sort_unstable_by_key(|report| report.instance);
    Ok(reports)
}

fn read(instance: &[u8], reading: &[u8], record: &[u8]) -> Result<Report, Bad> {
    let utf8 = |bytes| std::str::from_utf8(bytes).map_err(|_| bad("text of a report"));
    let instance = InstanceId(text::read_id(utf8(instance)?)?);
    let reading = match reading {
        b"-" => None,
        position => Some(text::read_position(utf8(position)?)?),
    };
    decode(instance, reading, record).map_err(|error| bad(format!("a report: {error}")))
}

fn decode(
    instance: InstanceId,
    reading: Option<Position>,
    record: &[u8],
) -> Result<Report, DecodeError> {
    let mut reader = Reader::new(record, 0);
    if reader.u8("magic")? != MAGIC {
        return Err(DecodeError::Magic("report"));
    }
    let version = reader.u8("version")?;
    if version != VERSION {
        return Err(DecodeError::NewerFormat(version.into()));
    }
    let at = reader.offset();
    let role = match reader.u8("role")? {
        0 => Role::Primary,
        1 => Role::Secondary,
        2 => Role::Observer,
        _ => return Err(DecodeError::Value { what: "role", at }),
    };
    let epoch = Epoch(reader.number("epoch")?);
    let id = TermId(reader.u128("term id")?);
    let position =
        Position { term: Term { epoch, id }, sequence: Sequence(reader.number("sequence")?) };
    let seen = Epoch(reader.number("epoch seen")?);
    let fingerprint = Fingerprint(reader.u128("fingerprint")?);
    let count = reader.u64("count")?;
    let can_stand = reader.u8("whether it can stand")? != 0;
    let format = reader.u16("format")?;
    let filter = Filter(reader.u128("filter")?);
    let at = reader.offset();
    let len = usize::from(reader.u8("length of the node")?);
    let name = std::str::from_utf8(reader.take(len, "node")?).ok();
    let node: NodeId =
        name.and_then(|name| name.parse().ok()).ok_or(DecodeError::Value { what: "node", at })?;
    Ok(Report {
        node,
        instance,
        role,
        position,
        seen,
        fingerprint,
        count,
        can_stand,
        format,
        filter,
        reading,
    })
}
