//! The words of the admin socket: what may be asked, and what is answered.
//!
//! ```text
//! -> {"request":"list","kind":"API","limit":2}
//! <- {"answer":"entity","kind":"API","id":"7c1d","label":"Orders 1.4","size":812}
//! <- {"answer":"entity","kind":"API","id":"88ee","label":"Prices 2","size":790}
//! <- {"answer":"end","position":"e7/t0f..9a/s1042","more":true}
//! ```
//!
//! An answer is one line, or several and then `end`. `error` stands in place of any of them.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use zonesync_core::id::{EntityKey, Epoch, Position, Sequence, Term, TermId};

use super::Item;
use crate::image::KindCheck;

/// The most bytes of one request, its newline included: 64 KiB.
pub const REQUEST_MAX: usize = 64 << 10;

/// The most entities of one page.
pub const PAGE_MAX: usize = 1000;

/// How many entities a page has if nobody says.
pub const PAGE_DEFAULT: usize = 100;

/// One line from a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// How is the node? Answered by [`Answer::Status`].
    Status,
    /// Which entities of a kind are there? Answered by [`Answer::Entity`]s and [`Answer::End`].
    List {
        /// The kind's name, in any letter case.
        kind: String,
        /// How many at most, 1 to [`PAGE_MAX`].
        #[serde(default = "page_default")]
        limit: usize,
        /// Start behind this key: the last one of the page before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<KeyText>,
        /// Send payloads too.
        #[serde(default)]
        payload: bool,
    },
    /// What is this entity? Answered by [`Answer::Entity`]s and [`Answer::End`].
    Get {
        /// The kind's name, in any letter case.
        kind: String,
        /// The id.
        id: String,
        /// Only in this API or API product.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        scope: Option<String>,
        /// Only for this subscription.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subscription: Option<String>,
        /// Send payloads too.
        #[serde(default)]
        payload: bool,
    },
    /// Whom does this credential let in? Answered by [`Answer::Found`] or [`Answer::Nothing`].
    Lookup {
        /// The API that is called.
        api: String,
        /// What the caller shows.
        credential: Credential,
        /// Only on this plan.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        plan: Option<String>,
        /// Send the subscription's payload too.
        #[serde(default)]
        payload: bool,
    },
    /// Tell what changes. Answered by [`Answer::Watching`], then [`Answer::Change`]s until the
    /// client closes the connection or sends anything.
    Watch {
        /// Begin behind this position, as [`position_text`] writes it; else now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<String>,
        /// Send payloads too.
        #[serde(default)]
        payload: bool,
    },
    /// Do the payloads sum up to the digest that was announced? Answered by [`Answer::Verified`].
    Verify,
    /// Let held removals pass. Answered by [`Answer::Done`].
    ConfirmRemoval {
        /// The token that the status shows with them.
        token: String,
    },
    /// Give up the lease for now. Answered by [`Answer::Done`].
    StepDown,
}

fn page_default() -> usize {
    PAGE_DEFAULT
}

/// What a caller of an API shows.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Credential {
    /// An API key, in clear.
    Key(String),
    /// The lower-case hex MD5 of an API key.
    Md5(String),
    /// A client id.
    Client(String),
    /// The thumbprint of a certificate: base64url without padding of the SHA-256 of its DER.
    Certificate(String),
}

impl fmt::Debug for Credential {
    /// Names what it is and keeps the value to itself: it opens doors.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key(_) => "Key(..)",
            Self::Md5(_) => "Md5(..)",
            Self::Client(_) => "Client(..)",
            Self::Certificate(_) => "Certificate(..)",
        })
    }
}

/// One line to a client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    /// The node's status. Not typed, so that a client shows what a newer node says.
    Status {
        /// A [`crate::status::Status`] as JSON.
        status: serde_json::Value,
    },
    /// One entity.
    Entity(EntityText),
    /// No more entities in this answer.
    End {
        /// The position that they are from.
        position: String,
        /// There are more behind the last one.
        more: bool,
    },
    /// The subscription that a lookup found.
    Found {
        /// Its id.
        subscription: String,
        /// Its plan.
        plan: String,
        /// Its application, if the payload names one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        application: Option<String>,
        /// The position that answered.
        position: String,
        /// Its payload, if asked for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        payload: Option<String>,
    },
    /// A lookup found nothing.
    Nothing {
        /// The position that answered.
        position: String,
    },
    /// From now on changes follow.
    Watching {
        /// The position that they come after.
        position: String,
    },
    /// One change.
    Change {
        /// The position that it led to, with the other changes of its batch.
        position: String,
        /// What happened.
        action: Action,
        /// The entity it happened to.
        #[serde(flatten)]
        entity: EntityText,
    },
    /// What the payloads sum up to, kind by kind.
    Verified {
        /// The position of the state.
        position: String,
        /// The kinds that are held or were announced.
        kinds: Vec<KindCheck>,
    },
    /// A wish was carried out, or there was nothing to carry out.
    Done {
        /// Whether it was carried out.
        done: bool,
    },
    /// The request could not be answered.
    Error {
        /// What sort of thing went wrong.
        code: ErrorCode,
        /// What went wrong and what would be right.
        message: String,
    },
}

/// What happened to an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// It is there, new or changed.
    Deploy,
    /// It is gone.
    Undeploy,
}

/// Why a request was not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    /// It is no request, or one of its values is wrong.
    BadRequest,
    /// It is longer than [`REQUEST_MAX`]. The connection is closed.
    TooLong,
    /// It did not end in time. The connection is closed.
    Timeout,
    /// There are too many connections. This one is closed.
    Busy,
    /// The changes after the asked position are forgotten: list and start over.
    Behind,
    /// The node was stopped. The connection is closed.
    Stopped,
    /// The node failed at it.
    Failed,
}

/// The parts of a key without its kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyText {
    /// The API or API product that it belongs to.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub scope: String,
    /// The id.
    pub id: String,
    /// For an API key, the subscription that it serves.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subscription: String,
}

/// An entity as it travels to a client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntityText {
    /// The kind's name.
    pub kind: String,
    /// The API or API product that it belongs to.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub scope: String,
    /// The id.
    pub id: String,
    /// For an API key, the subscription that it serves.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subscription: String,
    /// A few words about it, without secrets.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// How many bytes its payload has.
    #[serde(default)]
    pub size: usize,
    /// The payload, if it was asked for and is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
    /// The payload in base64, if it was asked for and is no text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_base64: Option<String>,
}

impl EntityText {
    /// Gives the key without its kind, to ask for what comes after.
    pub fn key(&self) -> KeyText {
        KeyText {
            scope: self.scope.clone(),
            id: self.id.clone(),
            subscription: self.subscription.clone(),
        }
    }

    pub(super) fn from_key(key: EntityKey<'_>) -> Self {
        Self {
            kind: key.kind.to_string(),
            scope: key.scope.into(),
            id: key.id.into(),
            subscription: key.subscription.into(),
            ..Self::default()
        }
    }
}

impl From<Item> for EntityText {
    fn from(item: Item) -> Self {
        let mut text = Self::from_key(item.key.as_ref());
        text.label = item.label;
        text.size = item.size;
        match item.payload.as_deref().map(std::str::from_utf8) {
            Some(Ok(payload)) => text.payload = Some(payload.into()),
            Some(Err(_)) => text.payload_base64 = item.payload.map(|p| STANDARD.encode(p)),
            None => {}
        }
        text
    }
}

/// Writes a position in full, so that it can be given back: `e7/t<32 hex digits>/s1042`.
///
/// The short form in logs leaves out the term id, and without it a position may name two states.
pub fn position_text(position: Position) -> String {
    let Position { term, sequence } = position;
    format!("{}/t{:032x}/{sequence}", term.epoch, term.id.0)
}

/// Reads what [`position_text`] wrote.
pub fn parse_position(text: &str) -> Option<Position> {
    let mut parts = text.split('/');
    let epoch = parts.next()?.strip_prefix('e')?.parse().ok()?;
    let id = parts.next()?.strip_prefix('t').filter(|hex| hex.len() == 32)?;
    let id = u128::from_str_radix(id, 16).ok()?;
    let sequence = parts.next()?.strip_prefix('s')?.parse().ok()?;
    let term = Term { epoch: Epoch(epoch), id: TermId(id) };
    parts.next().is_none().then_some(Position { term, sequence: Sequence(sequence) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_comes_back_as_it_was_written() {
        let term = Term { epoch: Epoch(7), id: TermId(u128::MAX / 3) };
        let position = Position { term, sequence: Sequence(1042) };
        let text = position_text(position);
        assert_eq!(text, "e7/t55555555555555555555555555555555/s1042");
        assert_eq!(parse_position(&text), Some(position));
        for bad in ["", "e7-s1042", "e7/t12/s1", "7/t1/s1", &format!("{text}/x"), "e/t/s"] {
            assert_eq!(parse_position(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_credential_does_not_print_its_value() {
        let request = Request::Lookup {
            api: "orders".into(),
            credential: Credential::Key("0f6d2b9a".into()),
            plan: None,
            payload: false,
        };
        assert!(!format!("{request:?}").contains("0f6d"));
    }

    #[test]
    fn requests_read_as_they_are_documented() {
        let read = |text| serde_json::from_str::<Request>(text);
        assert_eq!(read(r#"{"request":"status"}"#).unwrap(), Request::Status);
        let lookup = r#"{"request":"lookup","api":"a","credential":{"key":"k"}}"#;
        let expected = Request::Lookup {
            api: "a".into(),
            credential: Credential::Key("k".into()),
            plan: None,
            payload: false,
        };
        assert_eq!(read(lookup).unwrap(), expected);
        assert!(read(r#"{"request":"list","kind":"API","limt":2}"#).is_err(), "a misspelt member");
        let unknown = read(r#"{"request":"stop"}"#).unwrap_err().to_string();
        assert!(unknown.contains("confirm-removal"), "names what there is: {unknown}");
    }
}
