//! Asking sentinels where the master is.

use redis::Value;
use tracing::{debug, info};

use super::Common;
use super::dial::unavailable;
use super::hello::{Facts, Login, text};
use super::route::{ask, share};
use crate::secret::Secret;
use crate::store::StoreError;
use crate::store::redis::options::Address;

/// Asks sentinels, one after another, for the address of `master`.
///
/// A stock gateway sends them the password of Redis whatever is set for them, so either may be what
/// works here: theirs is tried first.
pub(super) async fn find(
    common: &Common,
    sentinels: Vec<Address>,
    master: &str,
    password: Option<&Secret>,
) -> Result<Address, StoreError> {
    let mut passwords: Vec<&Secret> = password.into_iter().collect();
    passwords.extend(common.options.password.as_ref().filter(|own| Some(*own) != password));
    let logins: Vec<Login<'_>> = passwords
        .into_iter()
        .map(|password| Login { password: Some(password), username: None })
        .collect();
    let limit = share(common, sentinels.len());
    let question = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", master];
    let (mut unknown, mut failed) = (false, None);
    for sentinel in &sentinels {
        let check = |facts: &Facts| match facts.mode.as_str() {
            "sentinel" => Ok(()),
            _ => Err(StoreError::Denied(format!(
                "{sentinel} is no sentinel: see `distributed-sync.redis.sentinel.nodes`"
            ))),
        };
        match ask(common, sentinel, &logins, limit, &question, check).await {
            Ok((answer, login)) => {
                if login > 0 && common.once() {
                    info!(%sentinel, "this sentinel takes the password of Redis, not its own");
                }
                match place(answer) {
                    Some(found) => {
                        debug!(%sentinel, master, %found, "sentinel named the master");
                        common.route.was_right(sentinel);
                        return Ok(found);
                    }
                    None => unknown = true,
                }
            }
            Err(refusal) => {
                let error = refusal.into_error();
                debug!(%sentinel, %error, "sentinel gave no answer");
                // A wrong password says more than a sentinel that is gone.
                if !matches!(failed, Some(StoreError::Denied(_))) {
                    failed = Some(error);
                }
            }
        }
    }
    if unknown {
        return Err(StoreError::Denied(format!(
            "no sentinel knows a master called `{master}`: see \
             `distributed-sync.redis.sentinel.master`"
        )));
    }
    Err(match failed {
        Some(StoreError::Unavailable(why)) => unavailable(format!("no sentinel answers: {why}")),
        Some(error) => error,
        None => StoreError::Denied("no sentinel is named".to_owned()),
    })
}

/// Reads a host and a port.
fn place(answer: Value) -> Option<Address> {
    let Value::Array(parts) = answer else { return None };
    let mut parts = parts.into_iter().map(text);
    let host = parts.next()??;
    Some(Address { host, port: parts.next()??.parse().ok()? })
}
